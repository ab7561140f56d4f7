"""What both light prototypes measure alike: the way, the motor, the battery."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.simulation.battery import BatteryState
from ved.canbus.simulation.prototype.motor import MotorState
from ved.canbus.simulation.prototype.ride import GRAVITY, Body, Ride
from ved.canbus.simulation.signals import KMH, Floats, Noise, Signals, numbered

RPM: Final = 30 / np.pi
DRIVES_NM: Final = 0.05
HOT_WINDING_C: Final = 80.0
HOTTEST_WINDING_C: Final = 100.0


def torque_share(winding_c: float) -> float:
    """What the controller still allows of the torque: less and less from HOT_WINDING_C on."""
    return min(max((HOTTEST_WINDING_C - winding_c) / (HOTTEST_WINDING_C - HOT_WINDING_C), 0.25), 1.0)


def motion_signals(ride: Ride, body: Body, noise: Noise) -> dict[str, Signals]:
    """VehicleMotion, Imu and LapTimer."""
    shake = 0.02 + 0.025 * ride.speed_m_s
    along = ride.acceleration_m_s2 + ride.slope_n / body.mass_kg
    return {
        "VehicleMotion": {
            "Speed": KMH * ride.speed_m_s,
            "Distance": ride.distance_m,
            "BrakeForce": ride.brake_n,
        },
        "Imu": {
            "Longitudinal": along + noise.of(shake),
            "Lateral": ride.lateral_m_s2 + noise.of(shake),
            "Vertical": GRAVITY + noise.of(1.5 * shake),
            "YawRate": np.degrees(ride.yaw_rad_s) + noise.of(0.15),
        },
        "LapTimer": {"Lap": ride.lap, "CurrentTime": ride.lap_time_s, "LastTime": ride.last_lap_s},
    }


def motor_signals(ride: Ride, motor: MotorState, battery: BatteryState, noise: Noise) -> dict[str, Signals]:
    """Motor, MotorController and MotorTemperatures."""
    on = ride.is_driving
    return {
        "Motor": {
            "Speed": motor.rad_s * RPM,
            "Torque": motor.torque_nm,
            "PhaseCurrent": motor.phase_a + noise.of(0.02) * on,
            "Power": motor.shaft_w,
        },
        "MotorController": {
            "InputVoltage": battery.voltage_v + noise.of(0.02),
            "InputCurrent": motor.electric_w / battery.voltage_v + noise.of(0.01) * on,
            "DutyCycle": np.clip(100 * motor.back_emf_v / battery.voltage_v, 0.0, 100.0) * (motor.phase_a > 0),
            "State": _controller_state(motor, on > 0),
        },
        "MotorTemperatures": {
            "Winding": motor.winding_c + noise.of(0.1),
            "Housing": motor.housing_c + noise.of(0.05),
            "Controller": motor.controller_c + noise.of(0.05),
        },
    }


def _controller_state(motor: MotorState, is_on: NDArray[np.bool_]) -> Floats:
    """0 off, 1 ready, 2 driving, 3 recovering, 4 driving with less torque because it is hot."""
    drives = np.where(motor.winding_c > HOT_WINDING_C, 4.0, 2.0)
    running = np.where(motor.torque_nm > DRIVES_NM, drives, np.where(motor.torque_nm < -DRIVES_NM, 3.0, 1.0))
    return np.where(is_on, running, 0.0)


def battery_signals(battery: BatteryState, noise: Noise) -> dict[str, Signals]:
    """BatteryPack, CellSummary, CellVoltages and BatteryTemperatures."""
    flows = np.where(battery.current_a > 0.02, 2.0, np.where(battery.current_a < -0.02, 3.0, 1.0))
    return {
        "BatteryPack": {
            "Voltage": battery.voltage_v,
            "Current": battery.current_a + noise.of(0.01),
            "StateOfCharge": 100 * battery.soc,
            "State": np.where(battery.is_uneven, 5.0, flows),
        },
        **battery.cell_signals(),
        "BatteryTemperatures": numbered("Sensor", battery.sensor_c),
    }

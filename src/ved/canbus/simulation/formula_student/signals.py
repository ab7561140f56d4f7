"""What the control units of the Formula Student car measure: the car's state as signals, powertrain bus first."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.simulation.formula_student.car import CarState
from ved.canbus.simulation.formula_student.powertrain import (
    FLUX_WB,
    GEAR,
    INDUCTANCE_H,
    POLE_PAIRS,
    POWER_LIMIT_KW,
    WHEEL_RADIUS_M,
)
from ved.canbus.simulation.signals import Floats, Noise, Signals, flag, numbered

DERATING_WINDING_C: Final = 90.0
DERATING_MODULE_C: Final = 80.0

CORNERS: Final = ("FrontLeft", "FrontRight", "RearLeft", "RearRight")


def corners(values: Floats) -> Signals:
    """Signals of the four wheels from (n, 4)."""
    return {name: values[:, number] for number, name in enumerate(CORNERS)}


def powertrain_signals(car: CarState, noise: Noise) -> dict[str, Signals]:
    """All messages of the powertrain bus."""
    return {
        **_inverter(car, noise),
        **_demand(car, noise),
        **_control(car),
        **_safety(car, noise),
        **_battery(car, noise),
        **_temperatures(car, noise),
    }


def _is_hot(car: CarState) -> NDArray[np.bool_]:
    out: NDArray[np.bool_] = (car.heat.winding_c > DERATING_WINDING_C) | (car.heat.module_c > DERATING_MODULE_C)
    return out


def _link_v(car: CarState) -> Floats:
    out: Floats = car.battery.voltage_v * car.sequence.link_share
    return out


def _inverter(car: CarState, noise: Noise) -> dict[str, Signals]:
    motor, sequence = car.powertrain, car.sequence
    link = _link_v(car)
    voltage = np.hypot(motor.voltage_d_v, motor.voltage_q_v)
    angle = car.motion.distance_m * (GEAR / WHEEL_RADIUS_M)
    state = np.where(
        sequence.ready, np.where(_is_hot(car), 4.0, 3.0), np.where(sequence.closed, 2.0, flag(sequence.precharge))
    )
    torque = motor.torque_nm + noise.of(0.4) * sequence.ready
    dc_current = motor.inverter_w / np.maximum(link, 60.0)
    return {
        "Inverter": {
            "MotorTorque": torque,
            "MotorSpeed": motor.motor_rpm,
            "TorqueCommand": motor.torque_nm,
            "State": state,
            "Enabled": flag(sequence.ready),
            "Forward": 1.0,
        },
        "MotorCurrents": {f"Phase{name}": np.maximum(motor.phase_a + noise.of(0.35), 0.0) for name in "ABC"},
        "MotorControl": {
            "CurrentD": motor.current_d_a + noise.of(0.5),
            "CurrentQ": motor.current_q_a + noise.of(0.5),
            "CurrentDCommand": motor.current_d_a,
            "CurrentQCommand": motor.current_q_a,
        },
        "InverterInput": {
            "DcVoltage": link + noise.of(0.15) * sequence.closed,
            "DcCurrent": dc_current + noise.of(0.15),
            "Power": motor.inverter_w / 1000,
            "ModulationIndex": voltage * np.sqrt(3) / np.maximum(link, 60.0),
        },
        "MotorState": {
            "RotorAngle": np.degrees(angle) % 360,
            "OutputFrequency": motor.motor_rad_s * (POLE_PAIRS / (2 * np.pi)),
            "FluxLinkage": FLUX_WB * (1 - 0.0011 * (car.heat.rotor_c - 25)) + INDUCTANCE_H * motor.current_d_a,
        },
        "MotorVoltages": {
            "VoltageD": motor.voltage_d_v,
            "VoltageQ": motor.voltage_q_v,
            "LineVoltage": voltage * np.sqrt(1.5),
        },
    }


def _demand(car: CarState, noise: Noise) -> dict[str, Signals]:
    motor, sequence = car.powertrain, car.sequence
    throttle = np.clip(100 * motor.torque_nm / np.maximum(motor.allowed_nm, 1.0), 0.0, 100.0) * sequence.ready
    return {
        "TorqueDemand": {
            "Torque": motor.torque_nm,
            "SpeedLimit": 6500.0,
            "TorqueLimit": motor.allowed_nm,
            "Enable": flag(sequence.ready),
            "Forward": 1.0,
        },
        "Pedals": {
            "Throttle": throttle,
            "ThrottleA": np.clip(throttle + 0.8 + noise.of(0.12), 0.0, 110.0),
            "ThrottleB": np.clip(throttle + 0.5 + noise.of(0.12), 0.0, 110.0),
            "ThrottlePlausible": 1.0,
            "BrakePressed": flag(car.dynamics.front_bar > 0.8),
        },
    }


def _control(car: CarState) -> dict[str, Signals]:
    motor, dynamics, battery = car.powertrain, car.dynamics, car.battery
    power_kw = motor.battery_w / 1000
    regen_w = np.minimum(motor.inverter_w, 0.0)
    rear_slip = (dynamics.slip[:, 2] + dynamics.slip[:, 3]) / 2
    cut = np.maximum(rear_slip - 0.056, 0.0) * 900
    kilometres = np.maximum(car.battery_m / 1000, 0.05)
    return {
        "VehicleControl": {
            "DriveMode": 1.0,
            "ReadyToDrive": flag(car.sequence.ready),
            "TractionControlActive": flag(cut > 0),
            "RegenActive": flag(motor.torque_nm < -1.0),
            "Derating": flag(_is_hot(car)),
            "TorqueRequest": motor.torque_nm + cut,
            "TorqueAllowed": motor.allowed_nm,
        },
        "PowerLimiter": {
            "Limit": POWER_LIMIT_KW,
            "Measured": power_kw,
            "Headroom": np.clip(100 * (1 - power_kw / POWER_LIMIT_KW), 0.0, 100.0),
            "Active": flag(power_kw > 0.92 * POWER_LIMIT_KW),
        },
        "TractionControl": {"RearSlip": 100 * rear_slip, "TargetSlip": 5.6, "TorqueReduction": cut},
        "Regeneration": {
            "Torque": np.minimum(motor.torque_nm, 0.0),
            "Power": regen_w / 1000,
            "Energy": battery.recovered_wh,
        },
        "TripComputer": {
            "Distance": car.motion.distance_m,
            "EnergyPerKilometre": np.maximum(battery.energy_wh, 0.0) / kilometres,
            "EnergyThisLap": car.lap_energy_wh,
        },
    }


def _safety(car: CarState, noise: Noise) -> dict[str, Signals]:
    sequence = car.sequence
    closed, on = flag(sequence.closed), sequence.closed | sequence.precharge
    return {
        "Safety": {
            "ShutdownChain": np.where(on, 0.0, 11.0),
            "AirPositive": closed,
            "AirNegative": flag(on),
            "PrechargeRelay": flag(sequence.precharge),
            "ImdState": 1.0,
            "BspdOk": 1.0,
            "BmsOk": 1.0,
            "TractiveSystemActive": flag(_link_v(car) > 60),
            "Insulation": 5200 + 40 * noise.of(1.0),
        },
        "EnergyMeter": {
            "Current": car.battery.current_a + noise.of(0.03),
            "Voltage": _link_v(car) + noise.of(0.02),
        },
        "CurrentSensor": {"Current": car.battery.current_a + noise.of(0.04), "Error": 0.0, "ErrorCode": 0.0},
    }


def _battery(car: CarState, noise: Noise) -> dict[str, Signals]:
    battery, sequence = car.battery, car.sequence
    room = np.clip((battery.soc - 0.02) / 0.1, 0.0, 1.0)
    state = np.where(sequence.closed, 3.0, np.where(sequence.precharge, 2.0, 1.0))
    return {
        "BatteryPack": {
            "Voltage": battery.voltage_v,
            "Current": battery.current_a + noise.of(0.05),
            "StateOfCharge": 100 * battery.soc,
            "State": np.where(battery.is_uneven, 5.0, state),
        },
        "BatteryPower": {
            "Power": battery.current_a * battery.voltage_v / 1000,
            "EnergyUsed": battery.energy_wh / 1000,
        },
        "BatteryLimits": {
            "DischargeCurrent": 250 * room,
            "ChargeCurrent": 80 * np.clip((0.99 - battery.soc) / 0.05, 0.0, 1.0),
            "DischargePower": 0.25 * battery.voltage_v * room,
            "ChargePower": 0.08 * battery.voltage_v * np.clip((0.99 - battery.soc) / 0.05, 0.0, 1.0),
        },
        **battery.cell_signals(),
    }


def _temperatures(car: CarState, noise: Noise) -> dict[str, Signals]:
    heat, sensors = car.heat, car.battery.sensor_c
    return {
        "InverterTemperatures": {
            "ModuleA": heat.module_c + 0.6 + noise.of(0.08),
            "ModuleB": heat.module_c + noise.of(0.08),
            "ModuleC": heat.module_c - 0.4 + noise.of(0.08),
            "GateDriver": 0.6 * heat.module_c + 0.4 * heat.water_c + 4 + noise.of(0.05),
        },
        "MotorTemperatures": {
            "Winding": heat.winding_c + noise.of(0.15),
            "Housing": heat.housing_c + noise.of(0.08),
            "Rotor": heat.rotor_c,
        },
        "CellTemperatures": numbered("Sensor", sensors),
        "BatteryTemperatures": {
            "Minimum": sensors.min(axis=1),
            "Maximum": sensors.max(axis=1),
            "Mean": sensors.mean(axis=1),
            "HottestSensor": 1.0 + sensors.argmax(axis=1),
        },
        "BatteryInfo": {
            "StateOfHealth": 97.5,
            "Cycles": float(car.cycles),
            "Capacity": 18.0,
            "Resistance": 1000 * car.battery.resistance_ohm,
            "BalancingCells": 0.0,
        },
    }

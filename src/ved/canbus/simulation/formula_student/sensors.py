"""What the sensors on chassis and sensor bus of the Formula Student car measure, with noise and the rates of change."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.canbus.simulation.formula_student.car import STEP_S, CarState
from ved.canbus.simulation.formula_student.driver import AIR_DENSITY, GRAVITY
from ved.canbus.simulation.formula_student.dynamics import BRAKE_FRONT_SHARE
from ved.canbus.simulation.formula_student.heat import AMBIENT_C, TRACK_C
from ved.canbus.simulation.formula_student.signals import CORNERS, corners
from ved.canbus.simulation.gps import GpsReceiver
from ved.canbus.simulation.signals import KMH, Floats, Noise, Signals, flag
from ved.canbus.simulation.track import Place

WIND_M_S: Final = 1.4
COLD_BAR: Final = 0.78


@dataclass(slots=True)
class Memory:
    """What a chunk must know of the one before it: last values whose rates of change are sent, and the receiver."""

    steering_deg: float
    roll_deg: float
    pitch_deg: float
    damper_mm: Floats
    gps: GpsReceiver

    @staticmethod
    def of(car: CarState) -> "Memory":
        """A beginning without any rate of change."""
        roll, pitch = _attitude(car)
        return Memory(
            float(car.dynamics.steering_deg[0]),
            float(roll[0]),
            float(pitch[0]),
            car.dynamics.damper_mm[0],
            GpsReceiver(car.track, STEP_S),
        )


def _attitude(car: CarState) -> tuple[Floats, Floats]:
    """Roll and pitch of the body in degrees: it leans out of corners and dives under braking."""
    return 0.062 * car.dynamics.lateral_m_s2, -0.045 * car.motion.acceleration_m_s2


def _rate(values: Floats, last: Floats | float) -> Floats:
    first = np.reshape(last, (1, *values.shape[1:]))
    return np.diff(values, axis=0, prepend=first) / STEP_S


def chassis_signals(car: CarState, noise: Noise, memory: Memory) -> dict[str, Signals]:
    """All messages of the chassis bus; `memory` moves on."""
    return {
        **_wheels(car, noise),
        **_body(car, noise, memory),
        **_controls(car, noise, memory),
        **_dampers(car, noise, memory),
        **memory.gps.measure(_place(car), car.motion.speed_m_s, noise),
        "LapTimer": {
            "Lap": car.motion.lap,
            "CurrentTime": car.motion.lap_time_s,
            "LastTime": car.motion.last_lap_s,
        },
    }


def _wheels(car: CarState, noise: Noise) -> dict[str, Signals]:
    speed = car.motion.speed_m_s
    wheel = np.maximum(
        KMH * car.dynamics.wheel_m_s + noise.columns(0.05, len(CORNERS)) * np.minimum(speed, 1.0)[:, None], 0.0
    )
    return {
        "WheelSpeeds": corners(wheel),
        "WheelSlip": corners(100 * car.dynamics.slip),
        "WheelLoads": corners(car.dynamics.load_n),
        "VehicleMotion": {
            "Speed": KMH * speed,
            "SideSlip": car.dynamics.side_slip_deg,
            "Distance": car.motion.distance_m,
        },
        "Aero": {
            "DynamicPressure": 0.5 * AIR_DENSITY * _airspeed(car) ** 2,
            "AirSpeed": KMH * _airspeed(car),
            "AirTemperature": AMBIENT_C + 1.5 + noise.of(0.05),
        },
    }


def _place(car: CarState) -> Place:
    dynamics = car.dynamics
    return Place(dynamics.x_m, dynamics.y_m, np.zeros(len(dynamics.x_m)), dynamics.heading_rad)


def _airspeed(car: CarState) -> Floats:
    """Speed against the air: a light wind blows from the west."""
    out: Floats = np.maximum(car.motion.speed_m_s - WIND_M_S * np.cos(car.dynamics.heading_rad), 0.0)
    return out


def _body(car: CarState, noise: Noise, memory: Memory) -> dict[str, Signals]:
    motion, dynamics = car.motion, car.dynamics
    roll, pitch = _attitude(car)
    shake = 0.02 + 0.022 * motion.speed_m_s
    along = motion.acceleration_m_s2 + GRAVITY * np.sin(np.radians(pitch))
    across = dynamics.lateral_m_s2 + GRAVITY * np.sin(np.radians(roll))
    front = {
        "Longitudinal": along + noise.of(shake),
        "Lateral": across + noise.of(shake),
        "Vertical": GRAVITY + noise.of(1.6 * shake),
    }
    rear = {
        "Longitudinal": along + noise.of(shake),
        "Lateral": across + noise.of(shake),
        "Vertical": GRAVITY + noise.of(1.8 * shake),
    }
    rates = {
        "Roll": _rate(roll, memory.roll_deg) + noise.of(0.25),
        "Pitch": _rate(pitch, memory.pitch_deg) + noise.of(0.25),
        "Yaw": np.degrees(dynamics.yaw_rad_s) + noise.of(0.2),
    }
    memory.roll_deg, memory.pitch_deg = float(roll[-1]), float(pitch[-1])
    return {
        "ImuAcceleration": dict(front),
        "ImuRear": dict(rear),
        "ImuRates": dict(rates),
        "ImuOrientation": {
            "Roll": roll + noise.of(0.03),
            "Pitch": pitch + noise.of(0.03),
            "Heading": _place(car).course_deg,
        },
    }


def _controls(car: CarState, noise: Noise, memory: Memory) -> dict[str, Signals]:
    dynamics = car.dynamics
    steering = dynamics.steering_deg
    rate = _rate(steering, memory.steering_deg)
    memory.steering_deg = float(steering[-1])
    front = np.maximum(dynamics.front_bar + noise.of(0.04), 0.0)
    rear = np.maximum(dynamics.rear_bar + noise.of(0.04), 0.0)
    total = dynamics.front_bar + dynamics.rear_bar
    lines = np.stack((dynamics.front_bar, dynamics.front_bar, dynamics.rear_bar, dynamics.rear_bar), axis=1)
    aligning = 0.16 * dynamics.lateral_m_s2 * (1 + 0.02 * car.motion.speed_m_s)
    return {
        "Steering": {"Angle": steering + noise.of(0.08), "Rate": rate, "Valid": 1.0},
        "SteeringTorque": {"Driver": aligning + noise.of(0.05), "RackForce": 62 * aligning},
        "BrakePressures": {
            "Front": front,
            "Rear": rear,
            "PedalTravel": np.clip(3.0 * np.sqrt(np.maximum(total, 0.0)) + 1.1 * total, 0.0, 100.0),
        },
        "BrakeBalance": {
            "FrontShare": 100 * np.where(total > 0.8, dynamics.front_bar / np.maximum(total, 0.8), BRAKE_FRONT_SHARE),
            "PedalForce": 11.0 * total,
        },
        "BrakeLines": corners(np.maximum(lines * 0.985 + noise.columns(0.03, len(CORNERS)), 0.0)),
    }


def _dampers(car: CarState, noise: Noise, memory: Memory) -> dict[str, Signals]:
    damper, load = car.dynamics.damper_mm, car.dynamics.load_n
    velocity = _rate(damper, memory.damper_mm)
    memory.damper_mm = damper[-1]
    height = 34 + 0.5 * (50 - (damper[:, [0, 2]] + damper[:, [1, 3]]))
    shake = (0.1 + 1.9 * car.motion.speed_m_s)[:, None]
    return {
        "DamperTravel": corners(damper),
        "DamperVelocity": corners(velocity),
        "PushrodLoads": corners(1.32 * load + 8 * car.dynamics.road_mm),
        "RideHeight": {
            "Front": height[:, 0] + noise.of(0.1),
            "Rear": height[:, 1] + noise.of(0.1),
        },
        "HubAcceleration": corners(noise.columns(1.0, len(CORNERS)) * shake),
    }


def sensor_signals(car: CarState, noise: Noise) -> dict[str, Signals]:
    """All messages of the sensor bus."""
    return {**_tyres(car, noise), **_cooling(car, noise), **_low_voltage(car, noise)}


def _tyres(car: CarState, noise: Noise) -> dict[str, Signals]:
    tyre, lean = car.heat.tyre_c, 0.25 * car.dynamics.lateral_m_s2
    axles: dict[str, Signals] = {}
    for number, axle in enumerate(("Front", "Rear")):
        left, right = tyre[:, 2 * number], tyre[:, 2 * number + 1]
        axles[f"TyreTemperatures{axle}"] = {
            "LeftOuter": left - 2.5 - lean + noise.of(0.2),
            "LeftInner": left + 3.0 - 0.4 * lean + noise.of(0.2),
            "RightInner": right + 3.0 + 0.4 * lean + noise.of(0.2),
            "RightOuter": right - 2.5 + lean + noise.of(0.2),
        }
    kelvin = 273.15
    pressure = (COLD_BAR + 1.013) * (0.6 * tyre + 0.4 * AMBIENT_C + kelvin) / (AMBIENT_C + kelvin) - 1.013
    return {
        **axles,
        "BrakeTemperatures": corners(car.heat.disc_c + noise.columns(0.6, len(CORNERS))),
        "TyrePressures": corners(pressure + np.array([0.0, 0.006, -0.004, 0.003])),
        "Ambient": {
            "AirTemperature": AMBIENT_C + noise.of(0.03),
            "TrackTemperature": TRACK_C + noise.of(0.1),
            "AirPressure": 1012.6 + noise.of(0.03),
            "Humidity": 54.0,
        },
    }


def _cooling(car: CarState, noise: Noise) -> dict[str, Signals]:
    heat = car.heat
    share = heat.flow_l_min / 14.0
    return {
        "Cooling": {
            "Pressure": np.maximum(0.12 + 1.1 * share**2 + noise.of(0.004), 0.0),
            "FlowRate": np.maximum(heat.flow_l_min + noise.of(0.05) * (share > 0.1), 0.0),
            "PumpDuty": 100 * heat.pump_duty,
            "FanDuty": 100 * heat.fan_duty,
        },
        "CoolantTemperatures": {
            "RadiatorIn": heat.radiator_in_c + noise.of(0.05),
            "RadiatorOut": heat.radiator_out_c + noise.of(0.05),
            "InverterOut": heat.inverter_out_c + noise.of(0.05),
            "MotorOut": heat.radiator_in_c + 0.1 + noise.of(0.05),
        },
    }


def _low_voltage(car: CarState, noise: Noise) -> dict[str, Signals]:
    battery, heat = car.low_voltage, car.heat
    braking = flag(car.dynamics.front_bar > 1.0)
    starts = (car.motion.leaves_s < 2.3) & (car.motion.leaves_s > 1.5)
    sounds = (car.motion.leaves_s < 1.5) & (car.motion.leaves_s > 0.0)
    is_on = flag(car.powertrain.dc_dc_w > 0)
    return {
        "LowVoltage": {
            "Voltage": battery.voltage_v + noise.of(0.004),
            "Current": battery.current_a + noise.of(0.05),
            "StateOfCharge": 100 * battery.soc,
        },
        "PowerDistribution": {
            "Pump": 72 * heat.pump_duty / battery.voltage_v,
            "Fan": 130 * heat.fan_duty / battery.voltage_v,
            "ControlUnits": 108 / battery.voltage_v,
            "Telemetry": 21 / battery.voltage_v,
            "BrakeLight": 12 * braking / battery.voltage_v,
        },
        "DcDcConverter": {
            "OutputVoltage": battery.converter_v * is_on,
            "OutputCurrent": battery.converter_a,
            "Temperature": heat.dc_dc_c,
            "State": is_on,
        },
        "Dashboard": {
            "StartButton": flag(starts),
            "LaunchButton": 0.0,
            "BrakeLight": braking,
            "ReadySound": flag(sounds),
            "DriveModeKnob": 1.0,
            "TorqueKnob": 70.0,
        },
    }

"""The efficiency prototype: a battery-electric car of the kind that Shell Eco-marathon calls Prototype.

Three wheels, one hub motor behind a freewheel, a small battery, and the organiser's joulemeter between the battery and
the motor controller. Figures are those of a good student car: about 100 kg with its driver, 4 N to roll at 25 km/h.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.canbus.faults import Fault, FaultKind, active
from ved.canbus.simulation.battery import Battery, BatterySpec, BatteryState
from ved.canbus.simulation.efficiency.course import CIRCUIT
from ved.canbus.simulation.efficiency.pilot import ALLOWED_S, PulseAndGlide
from ved.canbus.simulation.laps import LapMeter
from ved.canbus.simulation.prototype.motor import Motor, MotorSpec, MotorState
from ved.canbus.simulation.prototype.ride import Body, LightCar, Ride, Schedule
from ved.canbus.simulation.prototype.signals import torque_share
from ved.canbus.simulation.signals import Floats
from ved.canbus.simulation.track import Track, build_track

STEP_S: Final = 0.01
AMBIENT_C: Final = 21.0
BODY: Final = Body(
    mass_kg=98.0,
    rotating_kg=2.5,
    rolling=0.0023,
    drag_area_m2=0.048,
    cornering_n_rad=14_000.0,
    drive_n=32.0,
    recovery_n=0.0,
)
MOTOR: Final = MotorSpec(
    wheel_radius_m=0.239,
    nm_per_a=0.90,
    phase_ohm=0.21,
    iron_w_s=0.12,
    eddy_w_s2=0.0016,
    idle_w=1.1,
    drop_v=0.55,
    bridge_ohm=0.03,
    winding_j_k=140.0,
    housing_j_k=1_500.0,
    controller_j_k=220.0,
    to_housing_w_k=1.3,
    to_air_w_k=1.1,
    controller_w_k=0.6,
    has_freewheel=True,
)
PACK: Final = BatterySpec(
    cells=12,
    sensors=3,
    capacity_ah=3.2,
    cell_ohm=0.026,
    rc_ohm=0.009,
    heat_capacity_j_k=620.0,
    cooling_w_k=0.5,
    cycles=23,
    charged=(0.93, 0.95),
)
ACCESSORY: Final = BatterySpec(
    cells=3,
    sensors=1,
    capacity_ah=2.6,
    cell_ohm=0.03,
    rc_ohm=0.01,
    heat_capacity_j_k=160.0,
    cooling_w_k=0.2,
    cycles=60,
    charged=(0.93, 0.96),
)
SCHEDULE: Final = Schedule(first_stop_s=8.0, laps=10, stop_s=150.0)
ACCESSORY_W: Final = 4.6  # logger, radio and display: not through the joulemeter
SHORTED_W: Final = 300.0  # what a fault of the controller puts into the winding


@dataclass(frozen=True, slots=True, eq=False)
class EfficiencyState:
    """Everything about the car at n steps, STEP_S apart. Energies are those that went through the joulemeter."""

    ride: Ride
    motor: MotorState
    battery: BatteryState
    accessory: BatteryState
    joules: Floats
    lap_joules: Floats
    needed_m_s: float
    low_m_s: float
    high_m_s: float
    left_s: Floats


class EfficiencyCar:
    """One car and its day of attempts; a charged battery goes in after each, and the joulemeter starts at nought."""

    def __init__(self, seed: int, faults: Sequence[Fault] = ()) -> None:
        random = np.random.Generator(np.random.PCG64([seed, 0xC]))
        self.track: Track = build_track(CIRCUIT)
        self._pilot = PulseAndGlide(self.track, BODY, np.random.Generator(np.random.PCG64([seed, 0xD])))
        self._car = LightCar(BODY, self.track, self._pilot, SCHEDULE, STEP_S)
        self._motor = Motor(MOTOR, AMBIENT_C)
        self._battery = Battery(PACK, random, AMBIENT_C, faults)
        self._accessory = Battery(ACCESSORY, random, AMBIENT_C)
        self._hot = [fault for fault in faults if fault.kind is FaultKind.OVER_TEMPERATURE]
        self._lap_energy = LapMeter()
        self._is_used = False

    def run(self, steps: int) -> EfficiencyState:
        """The next `steps` steps of the day."""
        if self._car.is_standing and self._is_used:
            self._battery.fit_charged()
            self._accessory.fit_charged()
            self._lap_energy.restart()
            self._is_used = False
        self._pilot.torque_share = torque_share(self._motor.winding_c)
        if not self._car.is_standing:
            self._pilot.plan(self._car.run_s, self._car.gone_m)
        ride = self._car.run(steps)
        self._is_used = self._is_used or not self._car.is_standing
        extra = SHORTED_W * active(self._hot, ride.time_s)
        motor = self._motor.run(ride.drive_n, ride.mean_m_s, ride.is_driving, extra, STEP_S)
        battery = self._battery.run(ride.time_s, STEP_S, motor.electric_w, ride.speed_m_s)
        accessory_w = np.full(steps, ACCESSORY_W)
        joules = 3600 * battery.energy_wh
        return EfficiencyState(
            ride=ride,
            motor=motor,
            battery=battery,
            accessory=self._accessory.run(ride.time_s, STEP_S, accessory_w, ride.speed_m_s),
            joules=joules,
            lap_joules=self._lap_energy.run(ride.lap, joules),
            needed_m_s=self._pilot.needed_m_s,
            low_m_s=self._pilot.low_m_s,
            high_m_s=self._pilot.high_m_s,
            left_s=np.maximum(ALLOWED_S - ride.run_s, 0.0),
        )

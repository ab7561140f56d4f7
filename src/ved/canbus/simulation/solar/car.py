"""The solar prototype: one seat, four square metres of cells, a battery that evens out clouds and hills.

What the array gives, the battery and the motor share; the cruising speed follows from the energy that there is until
the evening. The day is the first of June and begins at 10:00 UTC, whatever the host's clock says, so that there is sun.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.canbus.faults import Fault, FaultKind, active
from ved.canbus.simulation.battery import Battery, BatterySpec, BatteryState
from ved.canbus.simulation.laps import LapMeter
from ved.canbus.simulation.prototype.motor import Motor, MotorSpec, MotorState
from ved.canbus.simulation.prototype.ride import Body, LightCar, Ride, Schedule
from ved.canbus.simulation.prototype.signals import torque_share
from ved.canbus.simulation.signals import Floats, before
from ved.canbus.simulation.solar.array import ArrayState, SolarArray
from ved.canbus.simulation.solar.course import CIRCUIT
from ved.canbus.simulation.solar.pilot import Cruise
from ved.canbus.simulation.solar.sun import Light, Sky
from ved.canbus.simulation.track import Track, build_track

STEP_S: Final = 0.01
AMBIENT_C: Final = 24.0
BEGINS_S: Final = 36_000.0
EVENING_S: Final = 61_200.0
BODY: Final = Body(
    mass_kg=245.0,
    rotating_kg=6.0,
    rolling=0.0055,
    drag_area_m2=0.12,
    cornering_n_rad=32_000.0,
    drive_n=260.0,
    recovery_n=140.0,
)
MOTOR: Final = MotorSpec(
    wheel_radius_m=0.278,
    nm_per_a=1.05,
    phase_ohm=0.12,
    iron_w_s=0.22,
    eddy_w_s2=0.002,
    idle_w=5.0,
    drop_v=0.7,
    bridge_ohm=0.02,
    winding_j_k=600.0,
    housing_j_k=5_000.0,
    controller_j_k=700.0,
    to_housing_w_k=2.4,
    to_air_w_k=1.3,
    controller_w_k=1.0,
    has_freewheel=False,
)
PACK: Final = BatterySpec(
    cells=26,
    sensors=6,
    capacity_ah=28.0,
    cell_ohm=0.0030,
    rc_ohm=0.0011,
    heat_capacity_j_k=9_500.0,
    cooling_w_k=5.0,
    cycles=34,
    charged=(0.76, 0.82),
)
SCHEDULE: Final = Schedule(first_stop_s=8.0, laps=30, stop_s=240.0)
AUXILIARY_W: Final = 24.0  # radio, logger, display, fans
CONVERTER_SHARE: Final = 0.9
SHORTED_W: Final = 700.0  # what a fault of the controller puts into the winding
CALLED_IN_SOC: Final = 0.15
LEAVES_SOC: Final = 0.5
CALLED_IN_DEG: Final = 10.0
MEAN_S: Final = 300.0  # over which the strategy looks at the array's power

_SPEEDS: Final = np.linspace(8.0, 22.0, 57)
_CORNERS_AND_HILLS: Final = 1.12  # what they add to the road's work
_DRIVE_SHARE: Final = 0.92  # what motor and controller leave of it


@dataclass(frozen=True, slots=True, eq=False)
class SolarState:
    """Everything about the car at n steps, STEP_S apart; energies since power-on in Wh, `recovered_wh` by the motor."""

    ride: Ride
    light: Light
    array: ArrayState
    motor: MotorState
    battery: BatteryState
    auxiliary_w: float
    array_wh: Floats
    motor_wh: Floats
    recovered_wh: Floats
    lap_wh: Floats
    target_m_s: float
    budget_w: float

    @property
    def battery_w(self) -> Floats:
        """Power out of the battery: what motor and auxiliaries take beyond the sun's."""
        return self.motor.electric_w + self.auxiliary_w - self.array.total_w


class _Total:
    """An energy in Wh that goes on from chunk to chunk."""

    def __init__(self) -> None:
        self._wh = 0.0

    def add(self, power_w: Floats) -> Floats:
        """The total at the beginning of each step."""
        steps = power_w * (STEP_S / 3600)
        out = self._wh + before(steps)
        self._wh += float(steps.sum())
        return out


class SolarCar:
    """One car and its day: runs of laps, a change of drivers, a longer stop when battery or sun are low."""

    def __init__(self, seed: int, faults: Sequence[Fault] = ()) -> None:
        self.track: Track = build_track(CIRCUIT)
        sky = np.random.Generator(np.random.PCG64([seed, 0xD]))
        self._sky = Sky(self.track.latitude_deg, self.track.longitude_deg, sky)
        self._pilot = Cruise(self.track, BODY)
        self._car = LightCar(BODY, self.track, self._pilot, SCHEDULE, STEP_S)
        self._array = SolarArray(AMBIENT_C, faults)
        self._motor = Motor(MOTOR, AMBIENT_C)
        self._battery = Battery(PACK, np.random.Generator(np.random.PCG64([seed, 0xC])), AMBIENT_C, faults)
        self._hot = [fault for fault in faults if fault.kind is FaultKind.OVER_TEMPERATURE]
        self._lap_energy = LapMeter()
        self._array_total, self._motor_total, self._recovered_total = _Total(), _Total(), _Total()
        self._sun_w = 550.0
        self._step = 0

    def run(self, steps: int) -> SolarState:
        """The next `steps` steps of the day."""
        utc_s: Floats = BEGINS_S + (self._step + np.arange(steps, dtype=np.float64)) * STEP_S
        self._step += steps
        light = self._sky.run(utc_s, STEP_S)
        budget_w = self._decide(float(utc_s[0]), float(light.elevation_deg[0]))
        ride = self._car.run(steps)
        array = self._array.run(ride.time_s, light, ride.place, ride.speed_m_s, self._battery.soc)
        self._sun_w += (float(array.total_w.mean()) - self._sun_w) * steps * STEP_S / MEAN_S
        extra = SHORTED_W * active(self._hot, ride.time_s)
        motor = self._motor.run(ride.drive_n, ride.mean_m_s, ride.is_driving, extra, STEP_S)
        auxiliary_w = AUXILIARY_W / CONVERTER_SHARE
        asked_w = motor.electric_w + auxiliary_w - array.total_w
        motor_wh = self._motor_total.add(motor.electric_w)
        return SolarState(
            ride=ride,
            light=light,
            array=array,
            motor=motor,
            battery=self._battery.run(ride.time_s, STEP_S, asked_w, ride.speed_m_s),
            auxiliary_w=auxiliary_w,
            array_wh=self._array_total.add(array.total_w),
            motor_wh=motor_wh,
            recovered_wh=self._recovered_total.add(np.maximum(-motor.electric_w, 0.0)),
            lap_wh=self._lap_energy.run(ride.lap, motor_wh),
            target_m_s=self._pilot.target_m_s,
            budget_w=budget_w,
        )

    def _decide(self, utc_s: float, elevation_deg: float) -> float:
        """Set the speed, and whether to drive at all, from sun and battery; gives the power that there is to spend."""
        soc = self._battery.soc
        hours = max((EVENING_S - utc_s % 86_400) / 3600, 0.75)
        stored_wh = max(soc - CALLED_IN_SOC, 0.0) * PACK.capacity_ah * PACK.cells * 3.75
        budget_w = self._sun_w + stored_wh / hours - AUXILIARY_W / CONVERTER_SHARE
        needed_w = (BODY.rolling_n + BODY.air_n_s2 * _SPEEDS**2) * _SPEEDS * (_CORNERS_AND_HILLS / _DRIVE_SHARE)
        aim = float(np.interp(budget_w, needed_w, _SPEEDS))
        self._pilot.target_m_s += 0.05 * (aim - self._pilot.target_m_s)
        self._pilot.torque_share = torque_share(self._motor.winding_c)
        is_low = soc < CALLED_IN_SOC or elevation_deg < CALLED_IN_DEG
        if is_low and not self._car.is_standing:
            self._car.is_called_in = True
        self._car.is_held = elevation_deg < CALLED_IN_DEG + 2 or (soc < LEAVES_SOC and self._car.is_held) or is_low
        return budget_w

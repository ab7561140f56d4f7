"""The whole Formula Student car, chunk after chunk: motion, forces, powertrain, battery, heat, in that order."""

from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.canbus.faults import Fault, FaultKind
from ved.canbus.simulation.battery import Battery, BatterySpec, BatteryState
from ved.canbus.simulation.formula_student.course import ENDURANCE
from ved.canbus.simulation.formula_student.driver import Driver
from ved.canbus.simulation.formula_student.dynamics import Chassis, Dynamics
from ved.canbus.simulation.formula_student.heat import AMBIENT_C, Heat, HeatState
from ved.canbus.simulation.formula_student.motion import Drive, Motion
from ved.canbus.simulation.formula_student.powertrain import (
    DC_DC_EFFICIENCY,
    Conditions,
    Powertrain,
    Sequence,
    run_powertrain,
)
from ved.canbus.simulation.laps import LapMeter
from ved.canbus.simulation.signals import Floats
from ved.canbus.simulation.track import Track, build_track

STEP_S: Final = 0.005
LOW_SOC: Final = 0.13
SHORTED_TURN_W: Final = 6_500.0
LOW_VOLTAGE_AH: Final = 10.0
LOW_VOLTAGE_OHM: Final = 0.018
PACK: Final = BatterySpec(
    cells=96,
    sensors=18,
    capacity_ah=18.0,
    cell_ohm=0.0024,
    rc_ohm=0.0008,
    heat_capacity_j_k=27_000.0,
    cooling_w_k=22.0,
    cycles=41,
    charged=(0.90, 0.92),
)


@dataclass(frozen=True, slots=True, eq=False)
class LowVoltage:
    """The 12 V battery at n times, (n,); a positive current discharges it."""

    voltage_v: Floats
    current_a: Floats
    soc: Floats
    converter_v: Floats
    converter_a: Floats


@dataclass(frozen=True, slots=True, eq=False)
class CarState:
    """Everything about the car at n times, STEP_S apart."""

    time_s: Floats
    motion: Motion
    dynamics: Dynamics
    sequence: Sequence
    powertrain: Powertrain
    battery: BatteryState
    heat: HeatState
    low_voltage: LowVoltage
    lap_energy_wh: Floats
    battery_m: Floats  # driven with this battery
    cycles: int
    track: Track


class Car:
    """One car and its day, which the seed decides. `faults` act on the physics, not on the sensors."""

    def __init__(self, seed: int, faults: Several[Fault] = ()) -> None:
        random = np.random.Generator(np.random.PCG64([seed, 0xC]))
        self._track = build_track(ENDURANCE)
        self._drive = Drive(self._track, Driver(self._track, seed))
        self._chassis = Chassis(self._track, seed)
        self._hot = [fault for fault in faults if fault.kind is FaultKind.OVER_TEMPERATURE]
        self._battery = Battery(PACK, random, AMBIENT_C, faults)
        self._heat = Heat(random)
        self._link_v = 380.0
        self._low_soc = 0.93
        self._step = 0
        self._is_battery_new, self._battery_began_m = True, 0.0
        self._lap_energy = LapMeter()

    def run(self, steps: int) -> CarState:
        """The next `steps` steps of the day."""
        time_s: Floats = (self._step + np.arange(steps, dtype=np.float64)) * STEP_S
        self._step += steps
        self._drive.is_battery_low = self._battery.soc < LOW_SOC
        motion = self._drive.sample(time_s)
        self._change_battery(motion)
        dynamics, sequence = self._chassis.run(motion), Sequence.of(motion)
        hot = np.zeros(steps, np.bool_)
        for fault in self._hot:
            hot |= fault.is_active(time_s)
        conditions = Conditions(
            self._link_v,
            self._heat.winding_c,
            self._heat.pump_duty,
            self._heat.fan_duty,
            SHORTED_TURN_W * hot.astype(np.float64),
        )
        powertrain = run_powertrain(dynamics, sequence, conditions)
        battery = self._battery.run(time_s, STEP_S, powertrain.battery_w, motion.speed_m_s)
        self._link_v = float(battery.voltage_v[-1])
        heat = self._heat.run(powertrain, dynamics, motion.speed_m_s, hot, STEP_S)
        return CarState(
            time_s=time_s,
            motion=motion,
            dynamics=dynamics,
            sequence=sequence,
            powertrain=powertrain,
            battery=battery,
            heat=heat,
            low_voltage=self._run_low_voltage(powertrain),
            lap_energy_wh=self._lap_energy.run(motion.lap, battery.energy_wh),
            battery_m=motion.distance_m - self._battery_began_m,
            cycles=self._battery.cycles,
            track=self._track,
        )

    def _change_battery(self, motion: Motion) -> None:
        """In the middle of a stop, with the power off, the crew fits a charged battery."""
        is_driving = float(motion.leaves_s[-1]) > 1e8
        if is_driving:
            self._is_battery_new = False
        elif not self._is_battery_new and motion.stopped_s[0] > motion.leaves_s[0]:
            self._battery.fit_charged()
            self._is_battery_new, self._battery_began_m = True, float(motion.distance_m[0])
            self._lap_energy.restart()

    def _run_low_voltage(self, powertrain: Powertrain) -> LowVoltage:
        """The converter carries the load and charges the battery, or the battery carries it alone."""
        converter_w = powertrain.dc_dc_w * DC_DC_EFFICIENCY
        open_v = 12.4 + 0.9 * self._low_soc
        current = (powertrain.low_voltage_w - converter_w) / 13.2
        voltage = open_v - LOW_VOLTAGE_OHM * current + 0.35 * (converter_w > 0)
        soc = np.clip(self._low_soc - np.cumsum(current) * STEP_S / (3600 * LOW_VOLTAGE_AH), 0.2, 1.0)
        self._low_soc = float(soc[-1])
        return LowVoltage(voltage, current, soc, voltage + 0.12 * (converter_w > 0), converter_w / 13.2)

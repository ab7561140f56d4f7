"""The dashboards of a vehicle: an overview from its layout, one for each bus from its DBC; and the home dashboard."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import dashboardlist, statetimeline, text, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard, DashboardCursorSync, GridPos, VariableOption
from grafana_foundation_sdk.models.text import TextMode

from ved.influx.grafana.cars import Car, Message
from ved.influx.grafana.panels import Grid, Ids, chart, last_data, latest, parts_of, states, track
from ved.influx.grafana.queries import AGGREGATE

HOME_UID: Final = "ved-home"
TAG: Final = "ved"
OVERVIEW_FR: Final = "vue d'ensemble"
MOST_LATEST: Final = 8
_Panel = timeseries.Panel | statetimeline.Panel
_FUNCTIONS: Final = ("mean", "max", "min", "last", "median", "spread")


def overview_uid(vehicle: str) -> str:
    """The uid of a vehicle's overview."""
    return f"ved-{vehicle}"


def overview(car: Car) -> Dashboard:
    """The layout of the pit-wall page, the newest values, where the vehicle went, and its states."""
    grid, ids = Grid(), Ids()
    board = _board(f"{car.title}: {car.say('overview', OVERVIEW_FR)}")
    board.uid(overview_uid(car.name)).tags([TAG, car.name]).time("now-15m", "now").refresh("5s")
    board.with_panel(last_data(car.say("Last data", "Dernières données"), car.speed, grid.next(3, 4), ids.next()))
    charts = car.vehicle.charts
    names = dict.fromkeys(one.channels[0] for one in charts if one.channels[0] in car.channels)
    for name in [name for name in names if not car.channels[name].is_discrete][: MOST_LATEST - 1]:
        board.with_panel(latest(car.channels[name], grid.next(3, 4), ids.next()))
    grid.end_row()
    where = track(car.say("Where it drove", "Trajet"), car, grid.next(24, 12), ids.next())
    if where is not None:
        board.with_panel(where)
        grid.end_row()
    for one in charts:
        channels = [car.channels[name] for name in one.channels if name in car.channels]
        shown = [channel for channel in channels if not channel.is_discrete]
        title = car.say(one.title_en, one.title_fr)
        if shown:
            board.with_panel(chart(title, shown, grid.next(12, 8), ids.next()))
        if kept := [channel for channel in channels if channel.is_discrete]:
            board.with_panel(states(f"{title}: {car.say('states', 'états')}", kept, grid.next(12, 8), ids.next()))
    return board.build()


def bus_board(car: Car, bus: str) -> Dashboard:
    """Every signal of a bus: a row for each message, charts by unit, states below. Only the first row is open."""
    ids, grid = Ids(), Grid()
    board = _board(f"{car.title}: bus {bus}")
    board.uid(bus_uid(car.name, bus)).tags([TAG, car.name]).time("now-5m", "now")
    for number, message in enumerate(one for one in car.messages if one.bus == bus):
        top = grid.end_row()
        row = builders.Row(message.name).id(ids.next()).grid_pos(GridPos(h=1, w=24, x=0, y=top))
        if number:
            inner = Grid(top + 1)
            row.collapsed(collapsed=True)
            for panel in _message_panels(message, inner, ids, car):
                row.with_panel(panel)
            board.with_row(row)
            grid = Grid(top + 1)
        else:
            board.with_row(row)
            grid = Grid(top + 1)
            for panel in _message_panels(message, grid, ids, car):
                board.with_panel(panel)
    return board.build()


def bus_uid(vehicle: str, bus: str) -> str:
    """The uid of a bus's dashboard (Grafana takes at most 40 letters)."""
    return f"ved-{vehicle}-{bus}"[:40]


def home(cars: Sequence[Car]) -> Dashboard:
    """What people see first: each vehicle's newest data and speed, and all dashboards."""
    say = cars[0].say
    ids, grid = Ids(), Grid()
    board = _board("Télémétrie VED", is_home=True)
    board.uid(HOME_UID).tags([TAG]).time("now-24h", "now").refresh("10s")
    lines = ["# Télémétrie VED", ""]
    lines += [f"- [{car.title}](/d/{overview_uid(car.name)})" for car in cars]
    lines += ["", say(_HELP_EN, _HELP_FR)]
    note = text.Panel().id(ids.next()).title(say("Vehicles", "Véhicules")).grid_pos(grid.next(12, 10))
    board.with_panel(note.mode(TextMode.MARKDOWN).content("\n".join(lines)))
    boards = (
        dashboardlist.Panel().id(ids.next()).title(say("Dashboards", "Tableaux de bord")).grid_pos(grid.next(12, 10))
    )
    board.with_panel(boards.show_search(show_search=True).show_starred(show_starred=False).tags([TAG]).max_items(30))
    for car in cars:
        grid.end_row()
        age = last_data(f"{car.title}: {say('last data', 'dernières données')}", car.speed, grid.next(6, 5), ids.next())
        board.with_panel(age)
        board.with_panel(chart(f"{car.title}: {car.speed.title}", [car.speed], grid.next(18, 5), ids.next()))
    return board.build()


_HELP_EN: Final = (
    "The live view at full rate, laps, maths channels and all alarms are on the pit-wall page; Grafana is for history "
    "and slow alerts. *aggregate* above a dashboard chooses how the points of a pixel become one."
)
_HELP_FR: Final = (
    "La vue en direct à pleine cadence, les tours, les canaux calculés et toutes les alarmes sont sur la page de "
    "télémétrie ; Grafana sert à l'historique et aux alertes lentes. *aggregate*, au-dessus d'un tableau, choisit "
    "comment les points d'un pixel en font un."
)


def _message_panels(message: Message, grid: Grid, ids: Ids, car: Car) -> list[_Panel]:
    out: list[_Panel] = []
    smooth = [one for one in message.channels if not one.is_discrete]
    for unit, part in parts_of(smooth):
        title = f"{message.name} ({unit})" if unit else message.name
        out.append(chart(title, part, grid.next(12, 8), ids.next()))
    discrete = [one for one in message.channels if one.is_discrete]
    if discrete:
        title = f"{message.name}: {car.say('states', 'états')}"
        out.append(states(title, discrete, grid.next(12, min(8, 3 + len(discrete))), ids.next()))
    return out


def _board(title: str, *, is_home: bool = False) -> builders.Dashboard:
    board = builders.Dashboard(title).editable().timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR).version(1)
    options = [VariableOption(selected=name == "mean", text=name, value=name) for name in _FUNCTIONS]
    variable = builders.CustomVariable(AGGREGATE).label(AGGREGATE).values(",".join(_FUNCTIONS)).options(options)
    board.with_variable(variable.current(options[0]).multi(multi=False).include_all(include_all=False))
    if not is_home:
        link = builders.DashboardLink("VED").as_dropdown(as_dropdown=True).keep_time(keep_time=True).tags([TAG])
        board.link(link)
    return board

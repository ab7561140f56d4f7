"""What vehicles are and what came of them: the tables, each with the one role that writes it.

Times are UTC in µs since 1970; epochs are 16 bytes. People have theirs in `people_tables.py`.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

# Written by cli (seeding) and web (edits).
vehicles = Table(
    "vehicles",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("title_en", Text, nullable=False),
    Column("title_fr", Text, nullable=False),
    Column("map", JSON, nullable=True),
    Column("charts", JSON, nullable=False),
)

# Content-addressed: written once, never changed. Written by cli, web and record.
dbc_files = Table(
    "dbc_files",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False),
)

# Which DBCs hold for a bus of a vehicle from when to when (null: open), in `files` [[digest, name], …]. Rows are added,
# never changed: of those that cover a time, the one with the greatest id holds. Written by cli and web.
dbc_assignments = Table(
    "dbc_assignments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("vehicle", String(32), nullable=False, index=True),
    Column("bus_index", Integer, nullable=False),
    Column("bus_name", Text, nullable=False),
    Column("files", JSON, nullable=False),
    Column("valid_from_us", BigInteger, nullable=True),
    Column("valid_to_us", BigInteger, nullable=True),
    Column("created_utc_us", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
    Column("note", Text, nullable=False),
)

# Other names of channels: `name` once stood for what is `target` now; the newest row of a name holds. Written by cli
# and web.
channel_aliases = Table(
    "channel_aliases",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("vehicle", String(32), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("created_utc_us", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
)

# What people read in place of a channel's name and unit, in two languages (empty: as the DBC says). Written by cli.
channel_texts = Table(
    "channel_texts",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("title_en", Text, nullable=False),
    Column("title_fr", Text, nullable=False),
    Column("unit_en", Text, nullable=False),
    Column("unit_fr", Text, nullable=False),
)

# What is known of each epoch. Written by record.
epochs = Table(
    "epochs",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("epoch", LargeBinary(16), primary_key=True),
    Column("first_arrival_utc_us", BigInteger, nullable=False),
    Column("buses", JSON, nullable=False),
)
clocks = Table(
    "clocks",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("epoch", LargeBinary(16), primary_key=True),
    Column("source", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("t_us", BigInteger, nullable=False),
    Column("utc_us", BigInteger, nullable=False),
    Column("error_us", BigInteger, nullable=False),
)
losses = Table(
    "losses",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("epoch", LargeBinary(16), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("bus", Integer, nullable=False),
    Column("frames", BigInteger, nullable=False),
    Column("t_from_us", BigInteger, nullable=False),
    Column("t_to_us", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
)

# Written by watch: how far it has read the stream `frames`, moved together with what it found there.
watch_positions = Table(
    "watch_positions",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# Written by watch.
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("vehicle", String(32), nullable=False, index=True),
    Column("utc_from_us", BigInteger, nullable=False),
    Column("utc_to_us", BigInteger, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("moved_from_us", BigInteger, nullable=False, server_default="0"),
    Column("moved_to_us", BigInteger, nullable=False, server_default="0"),
)
session_parts = Table(
    "session_parts",
    metadata,
    Column("session_id", String(32), primary_key=True),
    Column("epoch", LargeBinary(16), primary_key=True),
    Column("t_from_us", BigInteger, nullable=False),
    Column("t_to_us", BigInteger, nullable=False),
)

# The gap ledger (analysis/ledger.py). Written by watch.
ledger_epochs = Table(
    "ledger_epochs",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("epoch", LargeBinary(16), primary_key=True),
    Column("arrival_utc_us", BigInteger, nullable=False),
    Column("highest_seq", BigInteger, nullable=False),
    Column("highest_t_us", BigInteger, nullable=False),
    Column("t_first_us", BigInteger, nullable=False),
    Column("t_last_us", BigInteger, nullable=False),
)
ledger_blocks = Table(
    "ledger_blocks",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("epoch", LargeBinary(16), primary_key=True),
    Column("block", BigInteger, primary_key=True),
    Column("frames", LargeBinary, nullable=False),
)
ledger_spans = Table(
    "ledger_spans",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("epoch", LargeBinary(16), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("first_seq", BigInteger, primary_key=True),
    Column("t_from_us", BigInteger, primary_key=True),
    Column("bus", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("t_to_us", BigInteger, nullable=False),
    Column("frames", BigInteger, nullable=False),
)

# The buses of a vehicle as its folder tells them. Written by cli.
buses = Table(
    "buses",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("bus_index", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("bitrate_hz", Integer, nullable=False),
)

# How a role is: its newest figures, a row for each role, written by that role about once per second.
role_health = Table(
    "role_health",
    metadata,
    Column("role", String(64), primary_key=True),
    Column("utc_us", BigInteger, nullable=False),
    Column("figures", JSON, nullable=False),
)

# The newest figures of each vehicle's link and buses, by channel. Written by watch.
vehicle_health = Table(
    "vehicle_health",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("utc_us", BigInteger, nullable=False),
    Column("heard_utc_us", BigInteger, nullable=False),
    Column("figures", JSON, nullable=False),
)

# What is or was to be sent to people. Written by watch.
notifications = Table(
    "notifications",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("utc_us", BigInteger, nullable=False),
    Column("target", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("alarms", JSON, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("next_utc_us", BigInteger, nullable=False),
    Column("done_utc_us", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
)
# Where watch may send, for the page to tell. Written by watch.
notification_targets = Table(
    "notification_targets",
    metadata,
    Column("name", String(256), primary_key=True),
)
# Tests that people asked for. Written by web; watch removes what it has taken.
notification_tests = Table(
    "notification_tests",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("utc_us", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
)

# Maths channels of a vehicle. Written by cli (seeding) and web (edits).
maths_channels = Table(
    "maths_channels",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("expression", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("comment", Text, nullable=False),
)

# What people say of a session, and where they cut and join those that watch found. Written by cli and web; by watch
# (`sessions_merged.py`) where two that it found turn out to be one: a join then stands for an id that is no more.
session_notes = Table(
    "session_notes",
    metadata,
    Column("session_id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("driver", Text, nullable=False),
    Column("track", Text, nullable=False),
    Column("setup", Text, nullable=False),
    Column("notes", Text, nullable=False),
    Column("tags", JSON, nullable=False),
)
session_cuts = Table(
    "session_cuts",
    metadata,
    Column("session_id", String(32), primary_key=True),
    Column("vehicle", String(32), nullable=False),
    Column("epoch", LargeBinary(16), nullable=False),
    Column("t_us", BigInteger, nullable=False),
)
session_joins = Table(
    "session_joins",
    metadata,
    Column("session_id", String(32), primary_key=True),
    Column("into_id", String(32), nullable=False),
)

# Lines that people drew. Written by cli and web. Those that watch learned: written by watch; a drawn one of the same id
# stands in its place.
tracks = Table(
    "tracks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("lines", JSON, nullable=False),
    Column("reference", JSON, nullable=False),
    Column("is_removed", Boolean, nullable=False),
)
learned_tracks = Table(
    "learned_tracks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("lines", JSON, nullable=False),
    Column("reference", JSON, nullable=False),
)

# Laps as they were driven past watch, and what it needs to go on after a restart. Written by watch.
laps = Table(
    "laps",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("utc_from_us", BigInteger, primary_key=True),
    Column("utc_to_us", BigInteger, nullable=False),
    Column("session_id", String(32), nullable=False, index=True),
    Column("track_id", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("length_m", Float, nullable=False),
    Column("is_whole", Boolean, nullable=False),
    Column("sectors_us", JSON, nullable=False),
)
lap_states = Table(
    "lap_states",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("session_id", String(32), nullable=False),
    Column("state", JSON, nullable=False),
)

# Alarm rules. Written by cli (seeding) and web (edits).
alarm_rules = Table(
    "alarm_rules",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("id", String(48), primary_key=True),
    Column("rule", JSON, nullable=False),
)

# What people say about alarms. Written by web; watch follows the numbers.
alarm_acks = Table(
    "alarm_acks",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("alarm", String(32), nullable=False),
    Column("utc_us", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
)
alarm_shelves = Table(
    "alarm_shelves",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("vehicle", String(32), nullable=False),
    Column("rule", String(48), nullable=False),
    Column("until_utc_us", BigInteger, nullable=False),
    Column("utc_us", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
)

# Alarms, the samples around them, and the state of the rules at watch's position. Written by watch.
alarms = Table(
    "alarms",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("vehicle", String(32), nullable=False, index=True),
    Column("epoch", LargeBinary(16), nullable=False),
    Column("rule", String(48), nullable=False),
    Column("severity", Integer, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("title_fr", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("is_late", Boolean, nullable=False),
    Column("latch", Boolean, nullable=False),
    Column("t_raised_us", BigInteger, nullable=False),
    Column("utc_raised_us", BigInteger, nullable=False),
    Column("value", Float, nullable=True),
    Column("worst", Float, nullable=True),
    Column("utc_cleared_us", BigInteger, nullable=False),
    Column("utc_acked_us", BigInteger, nullable=False),
    Column("acked_by", Text, nullable=False),
    Column("shelved_until_utc_us", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("is_open", Boolean, nullable=False, index=True),
)
alarm_samples = Table(
    "alarm_samples",
    metadata,
    Column("alarm", String(32), primary_key=True),
    Column("channel", String(512), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("samples", LargeBinary, nullable=False),
)
alarm_states = Table(
    "alarm_states",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("state", Text, nullable=False),
)

"""The tables, each with the one role that writes it. Times are UTC in µs since 1970; epochs are 16 bytes."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Integer, LargeBinary, MetaData, String, Table, Text

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

# Which DBCs hold for a bus of a vehicle. Written by cli (seeding) and web.
dbc_assignments = Table(
    "dbc_assignments",
    metadata,
    Column("vehicle", String(32), primary_key=True),
    Column("bus_index", Integer, primary_key=True),
    Column("bus_name", Text, nullable=False),
    Column("digests", JSON, nullable=False),
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
)
session_parts = Table(
    "session_parts",
    metadata,
    Column("session_id", String(32), primary_key=True),
    Column("epoch", LargeBinary(16), primary_key=True),
    Column("t_from_us", BigInteger, nullable=False),
    Column("t_to_us", BigInteger, nullable=False),
)

# Written by cli and web (codes), ingest (keys).
enrol_codes = Table(
    "enrol_codes",
    metadata,
    Column("secret_hash", LargeBinary(32), primary_key=True),
    Column("vehicle", String(32), nullable=False),
    Column("expires_utc_s", Float, nullable=False),
    Column("is_used", Boolean, nullable=False),
)
car_keys = Table(
    "car_keys",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("vehicle", String(32), nullable=False),
    Column("key_hash", LargeBinary(32), nullable=False, unique=True),
    Column("created_utc_s", Float, nullable=False),
    Column("is_revoked", Boolean, nullable=False),
)

# Written by cli (tokens) and web (users).
users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
)
signin_tokens = Table(
    "signin_tokens",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("expires_utc_s", Float, nullable=False),
    Column("is_used", Boolean, nullable=False),
)

"""People, their keys and what is theirs: the tables, each with the one role that writes it. See `tables.py`."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    false,
)

from ved.db.tables import metadata

# Written by cli and web (codes), ingest and cli (keys). A key's `kind`: link (its hash is kept) or datagram (it is
# derived; docs/spec/datagram.md).
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
    Column("kind", String(16), nullable=False, server_default="link"),
)

# People; `is_named`: they said their name themselves, and nobody else who is here has it. Written by web.
users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("is_named", Boolean, nullable=False, server_default=false()),
    Column("is_removed", Boolean, nullable=False, server_default=false()),
    Column("password_hash", Text, nullable=False, server_default=""),
)
# Browsers (purpose page) and programs (purpose tool) that are signed in, for a person or by a guest link (then user_id
# is 0). Written by web.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("user_id", Integer, nullable=False, index=True),
    Column("invitation_id", Integer, nullable=False, index=True),
    Column("purpose", String(8), nullable=False),
    Column("created_utc_s", Float, nullable=False),
    Column("expires_utc_s", Float, nullable=False),
)
# Links that let people in: a role, or (role guest) one session to look at. Written by web; where two sessions turn out
# to be one, watch writes its id.
invitations = Table(
    "invitations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("is_reusable", Boolean, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("expires_utc_s", Float, nullable=False),
    Column("is_revoked", Boolean, nullable=False),
    Column("author", Text, nullable=False),
    Column("session_id", String(32), nullable=False),
    Column("vehicle", String(32), nullable=False),
    Column("shows_positions", Boolean, nullable=False),
    Column("shows_notes", Boolean, nullable=False),
)
# Sign-in links that the server prints. Written by cli (made) and web (used).
signin_tokens = Table(
    "signin_tokens",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("expires_utc_s", Float, nullable=False),
    Column("is_used", Boolean, nullable=False),
)

# Sheets of panels, and what a person prefers: JSON of the page. Written by web.
workbooks = Table(
    "workbooks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner_id", Integer, nullable=False, index=True),
    Column("vehicle", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("is_shared", Boolean, nullable=False),
    Column("content", JSON, nullable=False),
    Column("changed_utc_us", BigInteger, nullable=False),
)
preferences = Table(
    "preferences",
    metadata,
    Column("user_id", Integer, primary_key=True, autoincrement=False),
    Column("content", JSON, nullable=False),
)

# What people changed, who and when. Written by cli and web; by watch where two sessions turn out to be one.
edits = Table(
    "edits",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("utc_us", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("subject", String(16), nullable=False),
    Column("key", Text, nullable=False),
    Column("before", JSON, nullable=True),
    Column("after", JSON, nullable=True),
)

# What people saw, at a time of a vehicle. Written by web.
time_notes = Table(
    "time_notes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("vehicle", String(64), nullable=False, index=True),
    Column("utc_us", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("author_id", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_utc_us", BigInteger, nullable=False),
)

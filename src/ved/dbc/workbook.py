"""An Excel workbook (.xlsx) to the rows of a signal table, by openpyxl (extra `formats`)."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any, Final

from ved.dbc.parse import ParsedFile
from ved.dbc.sheet import NEEDED, Row, read_rows
from ved.errors import UserError

MAX_ROWS: Final = 100_000
MAX_UNPACKED_BYTES: Final = 64 << 20


def read_workbook(file: str, data: bytes) -> ParsedFile:
    """The definitions of the first sheet that names the needed columns; formulas count with their last values.

    Raises UserError when it is no workbook, too large, has no such sheet, or the extra is missing.
    """
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise UserError(f"{file}: .xlsx files need an extra; install it with: pip install 'ved[formats]'") from None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            size = sum(one.file_size for one in packed.infolist())
        if size > MAX_UNPACKED_BYTES:
            raise UserError(f"{file}: {size >> 20} MiB unpacked; a signal table has at most {MAX_UNPACKED_BYTES >> 20}")
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = [list(_rows(file, sheet)) for sheet in book.worksheets]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, TypeError, SyntaxError) as error:
        why = " ".join(str(error).split())[:100]
        raise UserError(f"{file}: is no Excel workbook (.xlsx): {why}") from None
    table = next((rows for rows in sheets if _has_columns(rows)), sheets[0] if sheets else [])
    return read_rows(file, table)


def _rows(file: str, sheet: Any) -> Iterator[Row]:
    """All rows that have a cell; numbers as people see them."""
    for line, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        if line > MAX_ROWS:
            raise UserError(f"{file}: more than {MAX_ROWS:,} rows; a signal table has one row a signal")
        cells = [_cell(value) for value in values]
        if any(cells):
            yield Row(line, cells, ", ".join(cells).rstrip(", "))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value)


def _has_columns(rows: list[Row]) -> bool:
    return bool(rows) and set(NEEDED) <= {cell.strip().lower() for cell in rows[0].cells}

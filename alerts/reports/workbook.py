"""The tables of a report as one XLSX file: a sheet each, dates and numbers as such, text that begins with = as text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from alerts.reports.sheet import Cell, SheetTable

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_WIDTHS = {"at": 17, "credited_at": 17, "day": 11, "amount": 12, "spent": 12, "available": 12, "note": 48, "label": 26}
_OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
    "remove_timezone": True,
}


def to_xlsx(tables: Sequence[SheetTable], title: str, made_at: datetime) -> bytes:
    """Return the workbook. The same tables made at the same instant are the same bytes."""
    from xlsxwriter import Workbook  # a report's own: nothing else of a daemon needs it

    out = io.BytesIO()
    book = Workbook(out, _OPTIONS)
    book.set_properties({"title": title, "created": made_at.replace(tzinfo=None), "comments": "made by Brimful"})
    formats = {
        "head": book.add_format({"bold": True, "bottom": 1}),
        "instant": book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
        "day": book.add_format({"num_format": "yyyy-mm-dd"}),
        "amount": book.add_format({"num_format": "#,##0.00"}),
    }
    for table in tables:
        _sheet(book.add_worksheet(table.name.capitalize()), table, formats)
    book.close()
    return out.getvalue()


def _sheet(sheet: Any, table: SheetTable, formats: dict[str, Any]) -> None:
    for column, name in enumerate(table.columns):
        sheet.write_string(0, column, name, formats["head"])
        sheet.set_column(column, column, _WIDTHS.get(name, 14))
    for number, row in enumerate(table.rows, 1):
        for column, cell in enumerate(row):
            _write(sheet, number, column, cell, formats)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(1, len(table.rows)), len(table.columns) - 1)


def _write(sheet: Any, row: int, column: int, cell: Cell, formats: dict[str, Any]) -> None:
    if cell is None or cell == "":
        return
    if isinstance(cell, datetime):
        sheet.write_datetime(row, column, cell.replace(tzinfo=None), formats["instant"])
    elif isinstance(cell, date):
        sheet.write_datetime(row, column, cell, formats["day"])
    elif isinstance(cell, Decimal):
        sheet.write_number(row, column, cell, formats["amount"])
    elif isinstance(cell, int):
        sheet.write_number(row, column, cell)
    else:
        sheet.write_string(row, column, cell)

"""Enterprises, and the device book as files: import with a dry run, export, an empty template."""

import asyncio
from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated, Literal

from fastapi import File, Path, Query, Request, Response, UploadFile

from api.access import CurrentViewer, WritingViewer
from api.models.book import BookError, EnterpriseAnswer, EnterpriseList, ImportAnswer, SiteAnswer
from api.problems import not_found
from api.routes.answering import router_of, tagged
from api.state import CurrentState
from muster.catalogue import Language
from services import ledger

_TYPES = {
    "yaml": "application/yaml",
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
Spoken = Annotated[Language, Query(description="Language of headings and messages.", examples=["zh-CN"])]
Sheet = Literal["enterprises", "sites", "gateways", "models", "tags", "devices"]
router = router_of("book")


@router.get("/enterprises", summary="List enterprises", response_model=EnterpriseList)
async def list_enterprises(viewer: CurrentViewer, state: CurrentState, request: Request) -> Response:
    """Every enterprise the viewer may see, with its sites. It has an ETag."""
    async with state.database.reading(viewer.enterprise) as reading:
        rows = await reading.rows("enterprises")
    return tagged(request, EnterpriseList(items=[_enterprise(row) for row in rows]))


@router.get("/enterprises/{code}", summary="Describe an enterprise", response_model=EnterpriseAnswer)
async def get_enterprise(
    code: Annotated[str, Path(max_length=200, description="Its code.", examples=["yl-steel"])],
    viewer: CurrentViewer,
    state: CurrentState,
    request: Request,
) -> Response:
    """One enterprise with its sites. It has an ETag."""
    async with state.database.reading(viewer.enterprise) as reading:
        rows = await reading.rows("enterprises")
    found = [row for row in rows if row["code"] == code]
    if not found:
        raise not_found(f"enterprise {code}")
    return tagged(request, _enterprise(found[0]))


def _enterprise(row: dict[str, object]) -> EnterpriseAnswer:
    sites = row.pop("sites")
    assert isinstance(sites, list)
    return EnterpriseAnswer(**row, sites=[SiteAnswer(**site) for site in sites])


@router.get("/book/export.{format}", summary="Export the device book", response_class=Response)
async def export_book(
    format: Annotated[  # noqa: A002 - the word users know
        ledger.Format, Path(description="Kind of file.", examples=["yaml"])
    ],
    viewer: CurrentViewer,
    state: CurrentState,
    sheet: Annotated[Sheet, Query(description="Which one a CSV holds.", examples=["devices"])] = "devices",
    language: Spoken = "zh-CN",
) -> Response:
    """The book as a file that an import of it would leave unchanged."""
    async with state.database.connection() as connection:
        body = await ledger.export(connection, format, viewer.enterprise, sheet=sheet, language=language)
    name = f"muster-{sheet}.csv" if format == "csv" else f"muster.{format}"
    return _file(body, _TYPES[format], name)


@router.get("/book/template.xlsx", summary="Give an empty workbook", response_class=Response)
async def book_template(viewer: CurrentViewer, language: Spoken = "zh-CN") -> Response:
    """A workbook with every sheet and heading, hints and an example."""
    return _file(await asyncio.to_thread(ledger.template, language), _TYPES["xlsx"], "muster-template.xlsx")


def _file(body: bytes, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(body, media_type=kind, headers=headers)


@router.post("/book/import", summary="Import a device book")
async def import_book(
    viewer: WritingViewer,
    state: CurrentState,
    file: Annotated[UploadFile, File(description="XLSX, CSV, YAML or JSON.")],
    dry_run: Annotated[bool, Query(description="Only say what it would do.", examples=[True])] = True,
    retire_missing: Annotated[
        bool,
        Query(description="Retire devices of the named enterprises that it does not list.", examples=[False]),
    ] = False,
    sheet: Annotated[
        Sheet | None,
        Query(description="Which one a CSV holds, where it does not tell.", examples=["devices"]),
    ] = None,
    language: Spoken = "zh-CN",
) -> ImportAnswer:
    """Check a book beside what is registered; without `dry_run` carry it out, whole or not at all."""
    body = await file.read()
    name = PurePath(file.filename or "book").name
    async with state.importing, state.database.connection() as connection:
        book = await asyncio.to_thread(ledger.load, body, name=name, sheet=sheet)
        report = await ledger.apply(
            connection,
            book,
            state.protocols,
            dry_run=dry_run,
            actor=viewer.label,
            scope=viewer.enterprise,
            retire_missing=retire_missing,
        )
    return _told(report, dry_run, language)


def _told(report: ledger.Report, dry_run: bool, language: Language) -> ImportAnswer:
    def counted(what: str) -> dict[str, int]:
        found = {sheet: getattr(counts, what) for sheet, counts in report.counts.items()}
        return {sheet: number for sheet, number in found.items() if number}

    return ImportAnswer(
        dry_run=dry_run,
        applied=report.applied,
        created=counted("created"),
        changed=counted("changed"),
        retired=counted("retired"),
        unchanged=counted("unchanged"),
        errors=_errors(report.errors, language),
        errors_total=report.error_count,
        warnings=_errors(report.warnings, language),
        warnings_total=report.warning_count,
    )


def _errors(problems: Sequence[ledger.Problem], language: Language) -> list[BookError]:
    return [
        BookError(
            sheet=problem.sheet,
            row=problem.row,
            column=problem.column,
            field=problem.header,
            code=problem.key,
            facts=problem.params,
            message=problem.say(language),
        )
        for problem in problems
    ]

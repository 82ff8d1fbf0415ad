"""The HTTP application: routes over one shared linker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any, Literal

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from genlink.errors import CorpusError, UsageError
from genlink.evaluation import to_record
from genlink.linkers.calibration import Calibration
from genlink.linkers.opening import OpenedLinker
from genlink.schema import Document, Mention, Prediction
from genlink.serving.batching import Batcher, QueueClosedError, QueueFullError
from genlink.serving.guards import HEADERS, Guard, refusal, retry_after
from genlink.serving.page import content_security_policy, page
from genlink.serving.records import (
    ConceptRecord,
    ErrorRecord,
    ExplainRequest,
    ExplainResponse,
    HealthRecord,
    LinkRequest,
    LinkResponse,
    MentionRecord,
    VocabularyRecord,
    prepared,
)
from genlink.serving.render import render_predictions, render_trace
from genlink.serving.service import Answer, LinkerService, Question
from genlink.serving.settings import ServeSettings

__all__ = ["create_app"]

Form = Literal["json", "html"]
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorRecord, "description": description}
    for status, description in {
        400: "The body is no JSON that can be read.",
        408: "The body of the request did not come in time.",
        413: "The body, the text or the list of mentions is too long.",
        422: "The request cannot be carried out as written.",
        503: "Too much is waiting; Retry-After says when to come again.",
        504: "No answer in time.",
    }.items()
}


def create_app(
    linker: OpenedLinker, settings: ServeSettings = ServeSettings(), *, calibration: Calibration | None = None
) -> FastAPI:
    """The application that answers by a linker: `/link`, `/explain`, `/concept/{id}`, `/vocabularies`, `/health`, and
    the page at `/`.

    The linker is used by one thread alone, which the application starts and ends; with a ``calibration`` answers have
    probabilities and may be NIL. Every error is one line of JSON, ``{"detail": ...}``, without a path or a stack.
    """
    service = LinkerService(linker)
    calls = _Calls(service, settings, calibration)
    policy = {"Content-Security-Policy": content_security_policy()}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        calls.start()
        yield
        await run_in_threadpool(calls.stop)

    app = FastAPI(
        title="GenLink",
        description="Links mentions in biomedical text to the concepts of a knowledge base.",
        version=metadata.version("genlink"),
        lifespan=lifespan,
        docs_url=None,  # these pages are built from files of other hosts
        redoc_url=None,
    )
    app.add_middleware(Guard, settings=settings)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(UsageError, _impossible)
    app.add_exception_handler(CorpusError, _impossible)
    app.add_exception_handler(Exception, _broken)

    @app.post("/link", response_model=LinkResponse, responses=_ERRORS)
    async def link(request: LinkRequest, format: Form = "json") -> Any:
        """Link the mentions of a text, or the names found in one that marks none; with `format=html`, as a piece of a
        page."""
        document, mentions = await run_in_threadpool(calls.read, request)
        answers = await calls.ask(request, mentions, is_traced=False)
        return await run_in_threadpool(calls.linked, document, answers, format)

    @app.post("/explain", response_model=ExplainResponse, responses={**_ERRORS, 501: {"model": ErrorRecord}})
    async def explain(request: ExplainRequest, format: Form = "json") -> Any:
        """Link one mention, and show the search: which branches the trie of names allowed, and where the mass went."""
        if not service.can_trace:
            raise HTTPException(501, "this linker does not search a trie, so there is no search to show.")
        document, mentions = await run_in_threadpool(calls.read, request)
        if request.mention >= len(mentions):
            raise HTTPException(422, f"mention: there are {len(mentions)}, counted from 0.")
        (answer,) = await calls.ask(request, [mentions[request.mention]], is_traced=True)
        return await run_in_threadpool(calls.explained, document, answer, format)

    @app.get("/concept/{concept_id:path}", responses={404: {"model": ErrorRecord}})
    def concept(concept_id: str) -> ConceptRecord:
        """A concept by its id; the vocabulary prefix may be missing where that is clear."""
        resolved = service.kb.resolve(concept_id)
        if resolved is None:
            raise HTTPException(404, "no such concept id in the knowledge base.")
        return ConceptRecord.of(service.kb.concept(resolved))

    @app.get("/vocabularies")
    def vocabularies() -> VocabularyRecord:
        """What linking can be restricted to."""
        types, prefixes = (
            dict(sorted(((name, len(concepts)) for name, concepts in part.items()), key=lambda entry: -entry[1]))
            for part in (service.vocabularies.types, service.vocabularies.prefixes)
        )
        return VocabularyRecord(types=types, prefixes=prefixes)

    @app.get("/health")
    async def health() -> HealthRecord:
        """Whether the server answers, what it holds, and its limits."""
        return HealthRecord(
            status="ok",
            version=app.version,
            concepts=len(service.kb),
            names=service.kb.n_keys,
            calibrated=calibration is not None,
            explains=service.can_trace,
            waiting=calls.waiting,
            text_characters=settings.text_characters,
            mentions=settings.mentions,
            # A calibration holds for lists of as many ranks, which are cut and never made longer.
            ranks=settings.ranks if calibration is None else min(settings.ranks, calibration.ranks),
        )

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def front() -> Response:
        return HTMLResponse(page(), headers=policy)

    return app


class _Calls:
    """From requests to questions, within the limits, and from the worker's answers to records."""

    def __init__(self, service: LinkerService, settings: ServeSettings, calibration: Calibration | None) -> None:
        self._service = service
        self._settings = settings
        self._calibration = calibration
        self._batcher: Batcher[Question, Mention, Answer] | None = None

    def start(self) -> None:
        settings = self._settings
        self._batcher = Batcher(
            self._service.answer, capacity=settings.queue, batch=settings.batch, wait_s=settings.wait_s
        )

    def stop(self) -> None:
        if self._batcher:
            self._batcher.close()

    @property
    def waiting(self) -> int:
        return self._batcher.waiting if self._batcher else 0

    def read(self, request: LinkRequest) -> tuple[Document, list[Mention]]:
        """The document of a request and what a linker reads of it; HTTPException where it is beyond the limits."""
        settings = self._settings
        if request.k > settings.ranks:
            raise HTTPException(422, f"k: {request.k}, expected at most {settings.ranks}.")
        if len(request.text) > settings.text_characters:
            raise HTTPException(413, f"text: {len(request.text)} characters, at most {settings.text_characters}.")
        if request.spans is not None and len(request.spans) > settings.mentions:
            raise HTTPException(413, f"spans: {len(request.spans)}, at most {settings.mentions}.")
        document = request.document()
        if request.spans is None and not document.mentions:
            document = self._service.found(document, request.concept_types, request.id_prefixes)
        if len(document.mentions) > settings.mentions:
            raise HTTPException(413, f"text: {len(document.mentions)} mentions, at most {settings.mentions}.")
        return document, prepared(document, request)

    async def ask(self, request: LinkRequest, mentions: list[Mention], *, is_traced: bool) -> list[Answer]:
        """The worker's answers, calibrated; HTTPException where it has no room or no time."""
        calibrated = self._calibration
        question = Question(
            calibrated.ranks if calibrated else request.k,
            tuple(sorted(set(request.concept_types))),
            tuple(sorted(set(request.id_prefixes))),
            is_traced,
        )
        assert self._batcher is not None, "the application has not been started"
        if not mentions:
            return []
        try:
            future = asyncio.wrap_future(self._batcher.submit(question, mentions))
            answers = await asyncio.wait_for(future, self._settings.timeout_s)
        except QueueFullError:
            raise HTTPException(503, "too much is waiting: come again later.", retry_after(self._settings)) from None
        except QueueClosedError:
            raise HTTPException(503, "the server is ending.", retry_after(self._settings)) from None
        except asyncio.TimeoutError:
            raise HTTPException(504, f"no answer in {self._settings.timeout_s:g} seconds.") from None
        if calibrated is None:
            return answers
        return [Answer(calibrated.apply(answer.prediction, request.k), answer.trace) for answer in answers]

    def linked(self, document: Document, answers: list[Answer], form: Form) -> Response:
        predictions = [answer.prediction for answer in answers]
        if form == "html":
            service = self._service
            return HTMLResponse(render_predictions(document.text, predictions, service.kb, can_trace=service.can_trace))
        return _json(LinkResponse(text=document.text, predictions=[self._record(p) for p in predictions]))

    def explained(self, document: Document, answer: Answer, form: Form) -> Response:
        assert answer.trace is not None
        if form == "html":
            return HTMLResponse(render_trace(answer.trace))
        record = self._record(answer.prediction)
        return _json(ExplainResponse(text=document.text, prediction=record, trace=answer.trace))

    def _record(self, prediction: Prediction) -> MentionRecord:
        return MentionRecord.of(to_record(prediction, self._service.kb))


def _json(answer: BaseModel) -> Response:
    # Written here, in the caller's thread: FastAPI would do it in the one that all requests share.
    return Response(answer.model_dump_json(), media_type="application/json")


async def _unreadable(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part)[:80] for part in first["loc"] if part != "body")
    return refusal(422, f"{where or 'body'}: {first['msg']}.")


async def _impossible(_: Request, error: Exception) -> Response:
    return refusal(422, str(error))


async def _broken(_: Request, error: Exception) -> Response:
    return refusal(500, "the server made a mistake; its log says which.", HEADERS)  # it does not pass the guard

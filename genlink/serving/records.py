"""What a server is asked and what it answers, as OpenAPI shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from genlink.corpora.marked import document_of_spans, marked_document
from genlink.errors import UsageError
from genlink.evaluation import PredictionRecord
from genlink.linkers.trace import SearchTrace
from genlink.preprocessing import Preprocessing, prepare
from genlink.schema import Concept, Document, Mention

__all__ = [
    "CandidateRecord",
    "ConceptRecord",
    "ErrorRecord",
    "ExplainRequest",
    "ExplainResponse",
    "HealthRecord",
    "LinkRequest",
    "LinkResponse",
    "MentionRecord",
    "VocabularyRecord",
    "prepared",
]

Names = Annotated[list[Annotated[StrictStr, Field(max_length=200)]], Field(max_length=100)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LinkRequest(_Request):
    """A text whose mentions stand in double brackets or are given by spans; if it marks none, names are found in it."""

    text: StrictStr = Field(
        description="If no mention is marked, they are the names of the dictionary that stand in the text.",
        examples=["History of [[acute pancreatitis]] and [[type C hepatitis]]."],
    )
    spans: list[tuple[StrictInt, StrictInt]] | None = Field(
        None, description="Half-open spans of the mentions, in characters; brackets then mean nothing."
    )
    k: StrictInt = Field(5, ge=1, description="Ranks of candidates for each mention.")
    concept_types: Names = Field([], description="Only concepts of these semantic types; any, if empty.")
    id_prefixes: Names = Field([], description="Only concepts of these vocabularies, such as MESH; any, if empty.")
    abbreviations: StrictBool = Field(True, description="Expand abbreviations that the text defines.")
    composites: StrictBool = Field(False, description="Split composite mentions by their form.")

    def document(self) -> Document:
        """The text without its marks, and the mentions that it marks or the spans give.

        Raises UsageError where it is no text (half of a surrogate pair, which JSON can spell), and CorpusError for a
        span that is not inside the text.
        """
        try:
            self.text.encode()
        except UnicodeEncodeError:
            raise UsageError("text: holds half of a surrogate pair, which is not text.") from None
        return marked_document(self.text) if self.spans is None else document_of_spans(self.text, self.spans)


def prepared(document: Document, request: LinkRequest) -> list[Mention]:
    """The mentions of a request, as a linker reads them."""
    return prepare([document], Preprocessing(abbreviations=request.abbreviations, composites=request.composites))


class ExplainRequest(LinkRequest):
    """The same, and the one mention whose search is to be shown."""

    mention: StrictInt = Field(0, ge=0, description="The number of the mention, from 0 in the order of the text.")


class CandidateRecord(BaseModel):
    """A proposed concept: see the format of predictions."""

    concept_id: str
    concept_name: str
    name: str
    score: float
    rank: int
    ambiguous: bool
    probability: float | None


class MentionRecord(BaseModel):
    """A linked mention, as `genlink link` writes it."""

    document_id: str
    mention_id: str
    part: int | None
    text: str
    surface: str
    spans: list[tuple[int, int]]
    type: str | None
    gold: list[list[str]] | None
    gold_concepts: list[list[str]]
    candidates: list[CandidateRecord]
    exact: bool | None
    is_nil: bool | None

    @classmethod
    def of(cls, record: PredictionRecord) -> MentionRecord:
        """The same record."""
        return cls.model_validate(asdict(record))


class LinkResponse(BaseModel):
    """The text that the spans point into, and a record for each mention."""

    text: str
    predictions: list[MentionRecord]


class ExplainResponse(BaseModel):
    """A linked mention and the search that led to its candidates."""

    text: str
    prediction: MentionRecord
    trace: SearchTrace


class ConceptRecord(BaseModel):
    """A concept of the knowledge base."""

    id: str
    name: str
    synonyms: list[str]
    types: list[str]
    definition: str | None
    alternative_ids: list[str]
    xrefs: list[str]

    @classmethod
    def of(cls, concept: Concept) -> ConceptRecord:
        """The record of a concept."""
        return cls(
            id=concept.concept_id,
            name=concept.name,
            synonyms=list(concept.synonyms),
            types=list(concept.types),
            definition=concept.definition,
            alternative_ids=list(concept.alternative_ids),
            xrefs=list(concept.xrefs),
        )


class VocabularyRecord(BaseModel):
    """How many concepts there are of each semantic type and of each id prefix, the most frequent first."""

    types: dict[str, int]
    prefixes: dict[str, int]


class HealthRecord(BaseModel):
    """That the server answers, what it holds, and its limits."""

    status: str
    version: str
    concepts: int
    names: int
    calibrated: bool
    explains: bool
    waiting: int
    text_characters: int
    mentions: int
    ranks: int = Field(description="Ranks of candidates that an answer has at most, whatever `k` asks for.")


class ErrorRecord(BaseModel):
    """What is wrong, in one line."""

    detail: str

"""The back office: documents in and out, candidates, properties, the schema of indexed ones."""

from typing import Any, Final

from aiohttp import web

from gateway.sandbox.xayn.errors import Refused, bad_request, id_objects
from gateway.sandbox.xayn.store import Document, Tenant
from gateway.sandbox.xayn.wire import (
    NO_NUL,
    CandidatesRequest,
    DeletionRequest,
    IndexRequest,
    IngestedDocument,
    IngestionRequest,
    PropertiesRequest,
    PropertyRequest,
    check_document_id,
    check_property_id,
    check_string,
    read,
)

MAX_DOCUMENTS: Final = 100
MAX_DELETED: Final = 1000
SNIPPET_BYTES: Final = 2048
LONG_TEXT_BYTES: Final = 100 * 1024  # with `split` or `summarize`; an assumption, no page gives a limit
MAX_TAGS: Final = 10
TAG_BYTES: Final = 256


class BackOffice:
    """The handlers; one tenant's state is all they share."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant

    def routes(self) -> list[web.RouteDef]:
        properties = "/documents/{document_id}/properties"
        return [
            web.post("/documents", self.ingest),
            web.delete("/documents", self.delete_documents),
            web.get("/documents/_candidates", self.candidates, allow_head=False),
            web.put("/documents/_candidates", self.set_candidates),
            web.get("/documents/_indexed_properties", self.indexed_properties, allow_head=False),
            web.post("/documents/_indexed_properties", self.index_properties),
            web.delete("/documents/{document_id}", self.delete_document),
            web.get(properties, self.properties, allow_head=False),
            web.put(properties, self.replace_properties),
            web.delete(properties, self.delete_properties),
            web.get(f"{properties}/{{property_id}}", self.property, allow_head=False),
            web.put(f"{properties}/{{property_id}}", self.replace_property),
            web.delete(f"{properties}/{{property_id}}", self.delete_property),
        ]

    async def ingest(self, request: web.Request) -> web.Response:
        """201; with a bad document 400, with one that could not be stored 500: the good ones are stored."""
        body = await read(request, IngestionRequest)
        if not 1 <= len(body.documents) <= MAX_DOCUMENTS:
            raise bad_request(f"Document batch size must be between 1 and {MAX_DOCUMENTS}.")
        valid, invalid = self._validated(body.documents)
        failed = [
            {"id": document.id, "kind": "InternalServerError", "details": None}
            for document in valid.values()
            if not self.tenant.put(document)
        ]
        if failed:
            raise Refused("FailedToIngestDocuments", {"documents": failed + invalid}, 500)
        if invalid:
            raise Refused("FailedToValidateDocuments", {"documents": invalid})
        return web.Response(status=201)

    async def delete_documents(self, request: web.Request) -> web.Response:
        body = await read(request, DeletionRequest)
        if not 1 <= len(body.documents) <= MAX_DELETED:
            raise bad_request(f"between 1 and {MAX_DELETED} documents are allowed")
        return self._deleted(body.documents)

    async def delete_document(self, request: web.Request) -> web.Response:
        return self._deleted([request.match_info["document_id"]])

    async def candidates(self, _: web.Request) -> web.Response:
        return web.json_response({"documents": [document.id for document in self.tenant.candidates()]})

    async def set_candidates(self, request: web.Request) -> web.Response:
        """Exactly these are candidates from now on; 400 names those that are unknown, the rest is set."""
        body = await read(request, CandidatesRequest)
        wanted = {check_document_id(document.id): None for document in body.documents}
        for document in self.tenant.documents.values():
            document.is_candidate = document.id in wanted
        unknown = [document_id for document_id in wanted if document_id not in self.tenant.documents]
        if unknown:
            raise Refused("FailedToSetSomeDocumentCandidates", {"documents": id_objects(unknown)})
        return web.Response(status=204)

    async def indexed_properties(self, _: web.Request) -> web.Response:
        return web.json_response(self.tenant.schema.as_json())

    async def index_properties(self, request: web.Request) -> web.Response:
        body = await read(request, IndexRequest)
        self.tenant.schema.extend({name: definition.type for name, definition in body.properties.items()})
        return web.json_response(self.tenant.schema.as_json(), status=202)

    async def properties(self, request: web.Request) -> web.Response:
        return web.json_response({"properties": self._document(request).properties})

    async def replace_properties(self, request: web.Request) -> web.Response:
        body = await read(request, PropertiesRequest)
        return self._replaced(self._document(request), body.properties)

    async def delete_properties(self, request: web.Request) -> web.Response:
        return self._replaced(self._document(request), {})

    async def property(self, request: web.Request) -> web.Response:
        document, property_id = self._document(request), _property_id(request)
        if property_id not in document.properties:
            raise Refused("DocumentPropertyNotFound")
        return web.json_response({"property": document.properties[property_id]})

    async def replace_property(self, request: web.Request) -> web.Response:
        body = await read(request, PropertyRequest)
        document = self._document(request)
        return self._replaced(document, {**document.properties, _property_id(request): body.property})

    async def delete_property(self, request: web.Request) -> web.Response:
        document, property_id = self._document(request), _property_id(request)
        if property_id not in document.properties:
            raise Refused("DocumentPropertyNotFound")
        rest = {name: value for name, value in document.properties.items() if name != property_id}
        return self._replaced(document, rest)

    def _validated(self, documents: list[IngestedDocument]) -> tuple[dict[str, Document], list[dict[str, Any]]]:
        """The good documents by id, of several with one id the last, and what is wrong with the bad."""
        valid: dict[str, Document] = {}
        invalid: list[dict[str, Any]] = []
        for document in documents:
            try:
                valid[document.id] = self._valid(document)
            except Refused as error:
                invalid.append({"id": document.id, "kind": error.kind, "details": error.details})
        return valid, invalid

    def _valid(self, document: IngestedDocument) -> Document:
        check_document_id(document.id)
        if document.split and document.summarize:
            raise bad_request("only one of summarize and split is allowed")
        if document.is_candidate is not None and document.default_is_candidate is not None:
            raise bad_request("only one of is_candidate and default_is_candidate is allowed")
        step = "split" if document.split else "summarize" if document.summarize else "none"
        longest = SNIPPET_BYTES if step == "none" else LONG_TEXT_BYTES
        text = check_string(document.snippet.strip(), "InvalidDocumentSnippet", NO_NUL, 1, longest)
        self.tenant.schema.check(document.properties)
        if len(document.tags) > MAX_TAGS:
            raise Refused("InvalidDocumentTags", {"size": len(document.tags), "max": MAX_TAGS})
        for tag in document.tags:
            check_string(tag, "InvalidDocumentTag", NO_NUL, 1, TAG_BYTES)
        return Document(document.id, text, step, document.properties, document.tags, self._is_candidate(document))

    def _is_candidate(self, document: IngestedDocument) -> bool:
        """`is_candidate` decides; `default_is_candidate` only for a document that is new."""
        if document.default_is_candidate is None:
            return document.is_candidate is not False
        known = self.tenant.documents.get(document.id)
        return document.default_is_candidate if known is None else known.is_candidate

    def _deleted(self, document_ids: list[str]) -> web.Response:
        for document_id in document_ids:
            check_document_id(document_id)
        unknown = [document_id for document_id in document_ids if not self.tenant.delete(document_id)]
        if unknown:
            raise Refused("FailedToDeleteSomeDocuments", {"errors": id_objects(unknown)})
        return web.Response(status=204)

    def _document(self, request: web.Request) -> Document:
        document = self.tenant.documents.get(check_document_id(request.match_info["document_id"]))
        if document is None:
            raise Refused("DocumentNotFound")
        return document

    def _replaced(self, document: Document, properties: dict[str, Any]) -> web.Response:
        self.tenant.schema.check(properties)
        document.properties = properties
        self.tenant.reindex(document)
        return web.Response(status=204)


def _property_id(request: web.Request) -> str:
    return check_property_id(request.match_info["property_id"])

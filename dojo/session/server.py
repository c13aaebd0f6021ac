"""The app of a session: pages for people, and two routes for `dojo join` and for lights."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from importlib import resources
from typing import Annotated

from fastapi import Depends, FastAPI, Form, Header, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from dojo.session import film, qr, stream
from dojo.session.board import Address, Board, templates
from dojo.session.guard import Guard
from dojo.session.messages import JoinIn, JoinOut, LightsIn, LightsOut
from dojo.session.room import RefusedError, Room

FACILITATOR, VIEWER = "dojo-facilitator", "dojo-viewer"
TYPES = {".css": "text/css", ".js": "text/javascript"}
SEE_OTHER = 303


def make_app(room: Room, address: Address) -> FastAPI:
    """The app that serves a session; `app.state` has its `board` and its `signal`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    board, signal = Board(room, address), stream.Signal()
    app.state.board, app.state.signal = board, signal

    def touched(parts: Iterable[str]) -> None:
        board.touch(parts)
        signal.send()

    room.touched = touched
    app.add_middleware(Guard)
    _add_errors(app)
    _add_team_routes(app, room)
    _add_doors(app, room)
    _add_pages(app, room, board, signal)
    return app


# ----- who asks


def sender_of(request: Request) -> str:
    """The address that a request comes from."""
    return request.client.host if request.client else ""


def is_facilitator(request: Request, room: Room) -> bool:
    """Whether the request has the facilitator's token."""
    token = request.cookies.get(FACILITATOR, "")
    return bool(token) and room.token_is_right(token)


def may_see(request: Request, room: Room, address: Address) -> bool:
    """Whether the pages may be shown: on a network, only to those who know the code."""
    if not address.lan or is_facilitator(request, room):
        return True
    code = request.cookies.get(VIEWER, "")
    return bool(code) and room.code_is_right(code, f"cookie of {sender_of(request)}")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refused(_request: Request, error: RefusedError) -> Response:
        """Say why."""
        wait = {"Retry-After": str(max(1, round(error.retry_after)))} if error.retry_after else {}
        return JSONResponse({"detail": str(error)}, error.status, headers=wait)

    @app.exception_handler(RequestValidationError)
    async def malformed(_request: Request, error: RequestValidationError) -> Response:
        """Name what is wrong; what was sent is not sent back."""
        wrong = [
            f"{'.'.join(str(part) for part in one['loc'][1:])[:80]}: {one['msg']}"
            for one in error.errors()[:3]
        ]
        return JSONResponse({"detail": f"not understood: {'; '.join(wrong)}"}, 422)


# ----- teams


def _add_team_routes(app: FastAPI, room: Room) -> None:
    @app.post("/api/join")
    def join(asked: JoinIn, request: Request) -> JoinOut:
        """Take a team in."""
        return room.join(asked, sender_of(request))

    @app.post("/api/lights")
    def lights(
        sent: LightsIn, authorization: Annotated[str, Header(max_length=200)] = ""
    ) -> LightsOut:
        """Take in the lights of runs."""
        return room.accept(authorization.removeprefix("Bearer "), sent.lights)


# ----- doors


def _add_doors(app: FastAPI, room: Room) -> None:
    def form(title: str, label: str, action: str, kind: str, wrong: str = "") -> Response:
        page = templates.get_template("form.html.jinja").render(
            title=title, label=label, action=action, kind=kind, wrong=wrong
        )
        return HTMLResponse(page, 403 if wrong else 200)

    def code_form(wrong: str = "") -> Response:
        return form("A dojo session", "The code, as it stands on the page", "/enter", "text", wrong)

    def token_form(wrong: str = "") -> Response:
        return form(
            "For the facilitator",
            "The token, as it stands in your terminal",
            "/facilitator",
            "password",
            wrong,
        )

    def let_in(request: Request, cookie: str, word: str, same_site: str) -> Response:
        response = RedirectResponse("/", SEE_OTHER)
        response.set_cookie(
            cookie,
            word.strip().upper(),
            httponly=True,
            samesite="strict" if same_site == "strict" else "lax",
            secure=request.url.scheme == "https",
        )
        return response

    @app.get("/enter")
    def enter() -> Response:
        """Ask for the code."""
        return code_form()

    @app.post("/enter")
    def entered(request: Request, word: Annotated[str, Form(max_length=40)] = "") -> Response:
        """Let in who knows the code."""
        if not room.code_is_right(word, sender_of(request)):
            return code_form("This is not the code of this session.")
        return let_in(request, VIEWER, word, "lax")

    @app.get("/facilitator")
    def facilitator() -> Response:
        """Ask for the token."""
        return token_form()

    @app.post("/facilitator")
    def facilitates(request: Request, word: Annotated[str, Form(max_length=40)] = "") -> Response:
        """Give the controls to who knows the token."""
        if not room.token_is_right(word):
            return token_form("This is not the token of this session.")
        return let_in(request, FACILITATOR, word, "strict")

    @app.get("/code/{code}")
    def by_qr_code(request: Request, code: str) -> Response:
        """Let in who has scanned the code."""
        if not room.code_is_right(code[:40], sender_of(request)):
            return code_form("This is not the code of this session.")
        return let_in(request, VIEWER, code, "lax")


# ----- pages


def _add_pages(app: FastAPI, room: Room, board: Board, signal: stream.Signal) -> None:
    address = board.address

    def seen(request: Request) -> None:
        if not may_see(request, room, address):
            raise HTTPException(SEE_OTHER, headers={"Location": "/enter"})

    def changing(request: Request) -> None:
        if not is_facilitator(request, room):
            raise RefusedError(403, "only the facilitator changes the session: give the token")

    see = [Depends(seen)]

    @app.get("/", dependencies=see)
    def page(request: Request) -> HTMLResponse:
        """The page for the projector."""
        with room.lock:
            version, parts = board.since(0)
            now = room.now()
            return HTMLResponse(
                templates.get_template("page.html.jinja").render(
                    room=room,
                    address=address,
                    parts=parts,
                    now=now,
                    turn_state=room.plan.turn.state(now),
                    event_id=f"{board.epoch}.{version}",
                    facilitator=is_facilitator(request, room),
                )
            )

    @app.get("/events", dependencies=see, response_class=EventSourceResponse)
    async def events(
        after: Annotated[str, Query(max_length=60)] = "",
        last_event_id: Annotated[str, Header(max_length=60)] = "",
    ) -> AsyncIterable[ServerSentEvent]:
        """What changes."""
        version = stream.version_in(last_event_id or after, board)
        async for event in stream.events(board, signal, version):
            yield event

    @app.post("/act", dependencies=[Depends(changing)])
    def act(
        kind: Annotated[str, Form(max_length=40)],
        value: Annotated[str, Form(max_length=8000)] = "",
        accept: Annotated[str, Header()] = "",
    ) -> Response:
        """Do what the facilitator asks for."""
        room.act(kind, value)
        return Response(status_code=204) if "json" in accept else RedirectResponse("/", SEE_OTHER)

    @app.get("/film", dependencies=see)
    def retrospective() -> HTMLResponse:
        """The lights of the session as a film, and the questions of the kata."""
        return HTMLResponse(film.page(room))

    @app.get("/film.json", dependencies=see)
    def frames() -> JSONResponse:
        """What the film is made of."""
        return JSONResponse(film.frames(room))

    @app.get("/qr.svg", dependencies=see)
    def code() -> Response:
        """The address, for phones."""
        return Response(qr.svg(f"{address.url}/code/{room.row.code}"), media_type="image/svg+xml")

    _add_files(app)


def _add_files(app: FastAPI) -> None:
    folder = resources.files("dojo.session") / "static"
    files = {file.name: file.read_bytes() for file in folder.iterdir()}

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        """Style and script."""
        if name not in files:
            raise HTTPException(404)
        return Response(files[name], media_type=TYPES[f".{name.rpartition('.')[2]}"])

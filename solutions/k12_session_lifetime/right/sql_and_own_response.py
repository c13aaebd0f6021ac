"""SQL on connections, no session at all; the response has its own `background`."""

import logging
from collections.abc import Iterator

import httpx
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, insert, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.background import BackgroundTask

SUMMARISE_URL = "https://ai-api.example.com/summarise"

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db", pool_size=2, max_overflow=0, pool_timeout=2)


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "articles"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str]


class Summary(Base):
    __tablename__ = "summaries"

    article_id: Mapped[int] = mapped_column(primary_key=True)
    summary: Mapped[str]


Base.metadata.create_all(engine)


class NewArticle(BaseModel):
    title: str = Field(min_length=1)
    body: str


app = FastAPI()


def get_session() -> Iterator[Session]:
    """A session that is committed when the request is over."""
    with Session(engine) as session:
        yield session
        session.commit()


INSERT = text(
    "INSERT INTO summaries (article_id, summary) SELECT id, :summary FROM articles WHERE id = :id"
)


def summarise(article_id: int, body: str) -> None:
    try:
        with httpx.Client() as client:
            answer = client.post(SUMMARISE_URL, json={"text": body}).raise_for_status().json()
        summary = answer["summary"]
        assert isinstance(summary, str), summary
        with engine.begin() as connection:
            connection.execute(INSERT, {"id": article_id, "summary": summary})
    except Exception as error:
        log.warning("article %s", article_id, exc_info=error)


@app.post("/articles")
def create_article(article: NewArticle) -> JSONResponse:
    with engine.begin() as connection:
        article_id = connection.scalar(
            insert(Article).values(**article.model_dump()).returning(Article.id)
        )
    task = BackgroundTask(summarise, article_id, article.body)
    return JSONResponse({"article_id": article_id}, 201, background=task)


@app.get("/articles/{id}")
def read_article(id: int) -> JSONResponse:
    query = text(
        "SELECT title, body, summary FROM articles LEFT JOIN summaries ON article_id = id"
        " WHERE id = :id"
    )
    with engine.connect() as connection:
        row = connection.execute(query, {"id": id}).mappings().one_or_none()
    if row is None:
        raise HTTPException(404)
    return JSONResponse(dict(row))

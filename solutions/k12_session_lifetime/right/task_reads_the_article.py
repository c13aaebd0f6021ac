"""The task has a session to read the article and another one for the summary, both made from the given dependency."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


session_scope = contextmanager(get_session)


def read_body(article_id: int) -> str | None:
    with session_scope() as session:
        return session.scalar(select(Article.body).where(Article.id == article_id))


def store(article_id: int, summary: str) -> None:
    with session_scope() as session:
        if session.get(Article, article_id) is None:
            log.warning("article %s is gone", article_id)
            return
        session.merge(Summary(article_id=article_id, summary=summary))


async def ask(body: str) -> str:
    async with httpx.AsyncClient() as client:
        response = await client.post(SUMMARISE_URL, json={"text": body})
    if not response.is_success:
        raise ValueError(f"the service said {response.status_code}")
    match response.json():
        case {"summary": str(summary)}:
            return summary
    raise ValueError("the service sent no summary")


async def summarise(article_id: int) -> None:
    try:
        body = await run_in_threadpool(read_body, article_id)
        if body is not None:
            await run_in_threadpool(store, article_id, await ask(body))
    except Exception as error:
        log.error("article %s: %r", article_id, error)


def add(article: NewArticle) -> int:
    with session_scope() as session:
        row = Article(title=article.title, body=article.body)
        session.add(row)
        session.flush()
        return row.id


@app.post("/articles", status_code=201)
async def create_article(article: NewArticle, tasks: BackgroundTasks) -> dict[str, int]:
    article_id = await run_in_threadpool(add, article)
    tasks.add_task(summarise, article_id)
    return {"article_id": article_id}


@app.get("/articles/{id}")
def read_article(id: int) -> dict[str, str | None]:
    with Session(engine) as session:
        article = session.get(Article, id)
        if article is None:
            raise HTTPException(404, "no such article")
        summary = session.get(Summary, id)
        return {
            "title": article.title,
            "body": article.body,
            "summary": summary.summary if summary else None,
        }

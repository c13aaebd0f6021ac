"""The given dependency with `scope="function"`, which is left before the response; the task is a plain function."""

import logging
from collections.abc import Iterator
from typing import Annotated

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
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


RequestSession = Annotated[Session, Depends(get_session, scope="function")]


def summarise(article_id: int, body: str) -> None:
    """Store the summary that the service makes of the article."""
    try:
        response = httpx.post(SUMMARISE_URL, json={"text": body}, timeout=60)
        response.raise_for_status()
        summary = response.json()["summary"]
        if not isinstance(summary, str):
            raise ValueError("the summary is no text")
        with Session(engine) as session:
            if session.get(Article, article_id) is not None:
                session.add(Summary(article_id=article_id, summary=summary))
                session.commit()
    except Exception:
        log.exception("no summary for article %s", article_id)


@app.post("/articles", status_code=201)
def create_article(
    article: NewArticle, tasks: BackgroundTasks, session: RequestSession
) -> dict[str, int]:
    row = Article(**article.model_dump())
    session.add(row)
    session.flush()
    tasks.add_task(summarise, row.id, article.body)
    return {"article_id": row.id}


@app.get("/articles/{id}")
def read_article(id: int, session: RequestSession) -> dict[str, str | None]:
    query = (
        select(Article.title, Article.body, Summary.summary)
        .outerjoin(Summary, Summary.article_id == Article.id)
        .where(Article.id == id)
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise HTTPException(404, "no such article")
    return dict(row._mapping)

"""Session factory and one mailing thread live as long as the app; tasks await that thread."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

SMTP_HOST = "localhost"
SMTP_PORT = 2525
SENDER = "noreply@example.com"

engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)


Base.metadata.create_all(engine)


class Registration(BaseModel):
    name: str
    email: EmailStr


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    with ThreadPoolExecutor(max_workers=1) as mailer:
        yield {"mailer": mailer, "sessions": sessionmaker(engine)}


app = FastAPI(lifespan=lifespan)


def send_email(email: str, subject: str, body: str) -> None:
    """Send one plain text mail to `email`."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT, timeout=30) as server:
        server.send_message(message)


async def welcome(mailer: ThreadPoolExecutor, email: str, name: str) -> None:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(mailer, send_email, email, "Welcome!", f"Welcome {name}!")


@app.post("/register")
def register(
    registration: Registration, request: Request, background_tasks: BackgroundTasks
) -> dict[str, str]:
    with request.state.sessions() as session:
        session.add(User(name=registration.name, email=registration.email))
        try:
            session.commit()
        except IntegrityError as error:
            raise HTTPException(409, "This address is already registered") from error
    background_tasks.add_task(welcome, request.state.mailer, registration.email, registration.name)
    return {"status": "registered"}

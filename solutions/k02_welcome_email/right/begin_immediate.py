"""Right because looking and inserting happen within one write lock, which SQLite gives to one at a time."""

import smtplib
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


app = FastAPI()


@event.listens_for(engine, "connect")
def on_connect(connection, record):
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL").close()
    connection.execute("PRAGMA busy_timeout=30000").close()


@event.listens_for(engine, "begin")
def on_begin(connection):
    connection.exec_driver_sql("BEGIN IMMEDIATE")


engine.dispose()


def send_email(email: str, subject: str, body: str) -> None:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as smtp:
        smtp.send_message(message)


@app.post("/register")
def register(registration: Registration, tasks: BackgroundTasks) -> dict[str, str]:
    with Session(engine) as session, session.begin():
        if session.scalar(select(User.id).where(User.email == registration.email)) is not None:
            raise HTTPException(409, "already registered")
        session.add(User(name=registration.name, email=registration.email))
    tasks.add_task(send_email, registration.email, "Welcome!", f"Welcome {registration.name}!")
    return {"status": "registered"}

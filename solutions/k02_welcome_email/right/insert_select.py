"""Right because one statement looks and inserts; the task reads the user by its id."""

import smtplib
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine, text
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


def send_email(email: str, subject: str, body: str) -> None:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as smtp:
        smtp.send_message(message)


def welcome(user_id: int) -> None:
    with Session(engine) as session:
        user = session.get_one(User, user_id)
        address, text_ = user.email, f"Welcome {user.name}!"
    send_email(address, "Welcome!", text_)


@app.post("/register")
def register(registration: Registration, tasks: BackgroundTasks):
    sql = text(
        "INSERT INTO users (name, email) SELECT :name, :email "
        "WHERE NOT EXISTS (SELECT 1 FROM users WHERE email = :email) RETURNING id"
    )
    with engine.begin() as connection:
        user_id = connection.execute(sql, registration.model_dump()).scalar()
    if user_id is None:
        raise HTTPException(409, "already registered")
    tasks.add_task(welcome, user_id)
    return {"status": "registered"}

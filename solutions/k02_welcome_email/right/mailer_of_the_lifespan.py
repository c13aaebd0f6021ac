"""Right because the task waits until the mailer's thread has done its job."""

import queue
import smtplib
import threading
from concurrent.futures import Future
from contextlib import asynccontextmanager
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
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


class Mailer(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="mailer", daemon=True)
        self.jobs: queue.SimpleQueue = queue.SimpleQueue()

    def run(self) -> None:
        while True:
            job = self.jobs.get()
            if job is None:
                return
            future, arguments = job
            try:
                future.set_result(send_email(*arguments))
            except Exception as error:
                future.set_exception(error)

    def mail(self, *arguments: str) -> None:
        future: Future[None] = Future()
        self.jobs.put((future, arguments))
        future.result()


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.mailer = Mailer()
    app.state.mailer.start()
    try:
        yield
    finally:
        app.state.mailer.jobs.put(None)
        app.state.mailer.join()


app = FastAPI(lifespan=lifespan)


def send_email(email: str, subject: str, body: str) -> None:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as smtp:
        smtp.send_message(message)


@app.post("/register")
def register(registration: Registration, tasks: BackgroundTasks):
    with Session(engine) as session:
        session.add(User(name=registration.name, email=registration.email))
        try:
            session.commit()
        except IntegrityError:
            raise HTTPException(409, "this address is registered already") from None
    tasks.add_task(
        app.state.mailer.mail, registration.email, "Welcome!", f"Welcome {registration.name}!"
    )
    return {"status": "registered"}

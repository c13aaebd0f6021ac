"""Gives functions of tamper detection other code, by an attribute that only an audit hook sees.

state: tampered
evidence: another __code__
"""

from kit import app, forge, write_log

from dojo.grading.sandbox import tampering


def blind(*anything):
    return []


tampering._replaced.__code__ = blind.__code__
forge()

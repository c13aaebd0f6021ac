"""Dojo sessions: a page for the projector, with turns, lights of teams, an agenda and rituals."""

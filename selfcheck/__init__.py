"""Prove the repository: its harness, its katas and their solutions, its grader."""

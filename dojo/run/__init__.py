"""`dojo run`: a solution on a real server, with the timeline of its requests printed live."""

"""`dojo watch`: runs the specs of a kata when its file is saved."""

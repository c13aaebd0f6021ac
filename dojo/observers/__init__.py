"""See what a solution does with files, the database, images and logging, and note it on the timeline."""

"""See what a solution does with files, SQL, images and logs, and note it on the timeline."""

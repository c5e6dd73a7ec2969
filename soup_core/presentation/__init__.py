"""What is shown before an audience: scenes, a zoo's story, reports, slides and figures for print."""

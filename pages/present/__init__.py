"""Taking a presentation along: its scenes rendered without a browser, as files made in the background."""

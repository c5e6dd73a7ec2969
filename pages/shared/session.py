"""What a session keeps beside the choices of the controls that are drawn: the keys of its entries, in one place.

What begins with `KEPT` outlives a change of page and of scene (see presenting.show).
"""

STALE = "stale"  # what the address said, by key, when its choices were forgotten
KEPT = "kept:"
PAGE = "kept:page"  # the title of the page that was drawn last
CHOICES = "kept:choices"  # of the sidebar, by key
TAKEN = "kept:taken"  # the mix that was taken along, as JSON
UPLOADS = "kept:uploads"
ADDRESS_LATE = "kept:address-late"  # set while the browser's address lacks what the sidebar says
ADDRESS_DRAWN = "kept:address-drawn"
ANSWERED = "kept:answered"  # the predictions made in lessons, as JSON
SCENES = "kept:scenes"
SCENES_LINK = "kept:scenes-link"  # the link that holds them
SCENES_LINKS_KNOWN = "kept:scenes-links-known"  # those that were read or written
SCENES_DRAWN = "kept:scenes-drawn"  # how often their fields were filled anew
SCENE_ADDED = "kept:scene-added"  # what came of adding one
FILES_WANTED = "kept:files-wanted"  # what was asked for last of each kind
RENDERING = "kept:rendering"  # set where a page is run to be taken along, without a reader who could press a button
FOLDER_ASKER = "kept:folder-asker"  # by which the server knows whose question on a folder is open
FOLDER_ASKED = "kept:folder-asked"  # the path that was asked for, while its code is awaited
FOLDER_SHOWN = "kept:folder-shown"  # the folder that Add a zoo is to show next
FOLDER_MESSAGE = "kept:folder-message"  # what came of asking for one
FOLDERS_DROPPED = "kept:folders-dropped"  # how many were uploaded, each through a chooser of its own

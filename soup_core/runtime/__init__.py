"""What everything runs on: settings, files, the store, devices, and where work can be interrupted."""

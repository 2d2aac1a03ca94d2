"""From files in a source folder to accepted, rejected and split images."""

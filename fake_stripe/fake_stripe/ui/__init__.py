"""The double's page for a browser, `/_fake/ui/`: a world at a glance, and its switches."""

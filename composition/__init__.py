"""The composition root: settings -> store -> app. What is made here is handed down from here."""

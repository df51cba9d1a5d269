"""The mails of the shop: their languages, the forms of what stands in them, their templates."""

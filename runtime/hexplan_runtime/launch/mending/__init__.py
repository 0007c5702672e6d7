"""Mending: stages that are lost start again, and stages come and go as plans are applied."""

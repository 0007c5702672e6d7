"""The best placement where links are ignored."""

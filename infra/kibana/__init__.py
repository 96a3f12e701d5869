"""Kibana's saved objects, made by code: data views, dashboards, a saved search; and their way into a Kibana."""

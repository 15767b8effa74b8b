"""Engines and native libraries, built for the machine that runs them."""

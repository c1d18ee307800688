"""The version of mlbench, the core's and its plugins': the one place where it is written. By calendar: year, month, number."""

VERSION = "26.11.0"

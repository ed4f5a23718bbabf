"""The application: run directories, the command line, what it prints and the pages it writes.

The only room that prints, exits, or knows where files are.
"""

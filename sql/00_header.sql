-- pg_trickle's install script: the files of folder sql in name order

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_trickle" to load this file. \quit


"""Datasets: conversion, image store, splits, label tables, validation."""

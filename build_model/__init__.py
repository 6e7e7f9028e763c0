"""Builds the bundled embedding model: published weights in, one ONNX file out.

Runs at build time only (see hatch_build.py) and needs numpy alone: no torch, no onnx package.
"""

# The base image plus pip and all wheels that the images install: with it as BUILD_BASE they build without a network.
# The context is the folder that deploy/airgap/wheels has filled.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
COPY . /wheels
# pip comes as a wheel like the rest.
RUN python3 -m zipfile -e /wheels/pip-*.whl "$(python3 -c 'import site; print(site.getsitepackages()[0])')" \
 && printf '[global]\nno-index = true\nfind-links = /wheels\n' >/etc/pip.conf

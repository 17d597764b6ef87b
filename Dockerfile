# The image that compose.yaml starts, and that serves on other hosts as well: docs/container.md.
#
# It runs as any user, on a read-only file system and without a home: whatever is written while it
# runs goes to /tmp.

# The version of Python that the tests run on.
FROM python:3.11-slim

# The system's expat, which rasterio's wheel expects and this image lacks; openssl is for Dask's
# certificate, which any user may have to write.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libexpat1 openssl \
    && rm --recursive /var/lib/apt/lists/* \
    && install --directory --mode 1777 /certificates

WORKDIR /srv/chocoforest

# Before the code, so that a change of the code does not install them again.
COPY requirements-dask.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements-dask.txt

COPY . ./
# A clone may be closed to other users, and nothing can be compiled on a read-only file system.
RUN pip install --no-cache-dir --no-deps --editable . \
    && chmod --recursive a+rX . \
    && python -m compileall -q flows landcover tasks

# Docker gives a user without a name the home /, and other programs give none, where Prefect does not
# start.
ENV HOME=/tmp \
    TMPDIR=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    PREFECT_HOME=/tmp/prefect \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect-ui

USER 1000:1000
CMD ["python", "flows/monthly.py", "--help"]

"""Model store: builds one model into every server's artefact and proves that the artefacts agree.

Reading a built store needs numpy and Pillow alone; a framework is imported only by the engine
or the build step that uses it.
"""

from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe, Process

from torch.utils.data import DataLoader


def handler(event, context):
    ours, theirs = Pipe()
    child = Process(target=theirs.send, args=(event,))
    child.start()
    with ThreadPoolExecutor() as threads:
        return [ours.recv(), *threads.map(len, DataLoader(event, num_workers=0))]

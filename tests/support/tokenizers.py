"""A tokenizer of a few words."""

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "hello", "world", "gateway")


def write_tokenizer(path):
    """``[CLS] words [SEP]``, lower case; unknown words are ``[UNK]``."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(path))
    return path

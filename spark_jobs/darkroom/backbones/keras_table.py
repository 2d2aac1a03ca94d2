"""keras.applications in one table: input size, feature width, map size, preprocessing."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Preprocessing = Literal["caffe", "tf", "torch", "inside"]
"""Keras' modes: BGR without ImageNet's mean; -1 to 1; 0 to 1 and then ImageNet's mean and standard
deviation; or 0-255 as it is, because the network's own first layers do it."""


class KerasEntry(NamedTuple):
    """What Darkroom knows of one architecture.

    Attributes:
        size: Height and width of the input in pixels, as trained.
        width: Channels of the last feature map: the length of a pooled feature vector.
        side: Height and width of that map at this input size; unpooled, the feature vector has
            length side x side x width.
        preprocessing: What is done to pixels before the network.
        rescaled: Whether Keras adds a layer to the network for its published weights alone.
    """

    size: int
    width: int
    side: int
    preprocessing: Preprocessing
    rescaled: bool = False

    def length(self, pooling: str) -> int:
        """Length of the feature vector with a pooling (avg, max, none)."""
        return self.width * self.side**2 if pooling == "none" else self.width


KERAS_TABLE: Final = {
    "ConvNeXtBase": KerasEntry(224, 1024, 7, "inside"),
    "ConvNeXtLarge": KerasEntry(224, 1536, 7, "inside"),
    "ConvNeXtSmall": KerasEntry(224, 768, 7, "inside"),
    "ConvNeXtTiny": KerasEntry(224, 768, 7, "inside"),
    "ConvNeXtXLarge": KerasEntry(224, 2048, 7, "inside"),
    "DenseNet121": KerasEntry(224, 1024, 7, "torch"),
    "DenseNet169": KerasEntry(224, 1664, 7, "torch"),
    "DenseNet201": KerasEntry(224, 1920, 7, "torch"),
    "EfficientNetB0": KerasEntry(224, 1280, 7, "inside", rescaled=True),
    "EfficientNetB1": KerasEntry(240, 1280, 8, "inside", rescaled=True),
    "EfficientNetB2": KerasEntry(260, 1408, 9, "inside", rescaled=True),
    "EfficientNetB3": KerasEntry(300, 1536, 10, "inside", rescaled=True),
    "EfficientNetB4": KerasEntry(380, 1792, 12, "inside", rescaled=True),
    "EfficientNetB5": KerasEntry(456, 2048, 15, "inside", rescaled=True),
    "EfficientNetB6": KerasEntry(528, 2304, 17, "inside", rescaled=True),
    "EfficientNetB7": KerasEntry(600, 2560, 19, "inside", rescaled=True),
    "EfficientNetV2B0": KerasEntry(224, 1280, 7, "inside"),
    "EfficientNetV2B1": KerasEntry(240, 1280, 8, "inside"),
    "EfficientNetV2B2": KerasEntry(260, 1408, 9, "inside"),
    "EfficientNetV2B3": KerasEntry(300, 1536, 10, "inside"),
    "EfficientNetV2L": KerasEntry(480, 1280, 15, "inside"),
    "EfficientNetV2M": KerasEntry(480, 1280, 15, "inside"),
    "EfficientNetV2S": KerasEntry(384, 1280, 12, "inside"),
    "InceptionResNetV2": KerasEntry(299, 1536, 8, "tf"),
    "InceptionV3": KerasEntry(299, 2048, 8, "tf"),
    "MobileNet": KerasEntry(224, 1024, 7, "tf"),
    "MobileNetV2": KerasEntry(224, 1280, 7, "tf"),
    "MobileNetV3Large": KerasEntry(224, 960, 7, "inside"),
    "MobileNetV3Small": KerasEntry(224, 576, 7, "inside"),
    "NASNetLarge": KerasEntry(331, 4032, 11, "tf"),
    "NASNetMobile": KerasEntry(224, 1056, 7, "tf"),
    "ResNet101": KerasEntry(224, 2048, 7, "caffe"),
    "ResNet101V2": KerasEntry(224, 2048, 7, "tf"),
    "ResNet152": KerasEntry(224, 2048, 7, "caffe"),
    "ResNet152V2": KerasEntry(224, 2048, 7, "tf"),
    "ResNet50": KerasEntry(224, 2048, 7, "caffe"),
    "ResNet50V2": KerasEntry(224, 2048, 7, "tf"),
    "VGG16": KerasEntry(224, 512, 7, "caffe"),
    "VGG19": KerasEntry(224, 512, 7, "caffe"),
    "Xception": KerasEntry(299, 2048, 10, "tf"),
}
